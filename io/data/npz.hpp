// .npz, NumPy's archive of arrays: a zip file of .npy members.
#pragma once

#include <memory>
#include <string>

#include "io/data/byte_source.hpp"
#include "io/data/dataset.hpp"
#include "io/data/image_reader.hpp"
#include "io/data/raw_array.hpp"

namespace gramtile {

/// Images of the member `key`, or of the one that choose_images() finds when `key` is empty; labels
/// by label_names(). Throws DataError.
std::unique_ptr<ImageReader> open_npz(const SharedBytes& bytes, const std::string& key,
                                      DatasetRole role,
                                      std::uint64_t in_memory_bytes = kUnpackInMemoryBytes);

/// The array `key`, or the one of labels that choose_labels() finds when `key` is empty.
RawArray open_npz_array(const SharedBytes& bytes, const std::string& key, DatasetRole role,
                        std::uint64_t in_memory_bytes = kUnpackInMemoryBytes);

}  // namespace gramtile
