// Arrays of integers that a user names beside the images: labels, and lists of image numbers.
#pragma once

#include <memory>
#include <string>

#include "io/data/dataset.hpp"
#include "io/data/labels.hpp"
#include "io/data/selection.hpp"
#include "io/data/source_spec.hpp"

namespace gramtile {

/// The labels in `spec`, PATH[:/DATASET] of an .npy, .npz, .mat, HDF5, IDX or STL-10 file. What
/// `spec` says behind '#' is not looked at. Throws as open_dataset() does.
std::unique_ptr<LabelArray> open_label_source(const SourceSpec& spec, DatasetRole role,
                                              std::uint64_t in_memory_bytes);

/// The images that the list at `path` (PATH[:/DATASET]) names of a source with `num_images`, in its
/// order. Throws DataError: an empty list, numbers that are not whole or lead outside.
Selection read_index_list(const std::string& path, Index num_images, std::uint64_t in_memory_bytes);

}  // namespace gramtile
