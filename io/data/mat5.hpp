// MATLAB's .mat files of version 5 to 7.2 (SVHN's train_32x32.mat; save -v7; scipy.io.savemat):
// 128 bytes of header, then one element per variable, compressed or not. Version 7.3 is HDF5.
// Layout: https://www.mathworks.com/help/pdf_doc/matlab/matfile_format.pdf
#pragma once

#include <memory>
#include <string>

#include "io/data/byte_source.hpp"
#include "io/data/dataset.hpp"
#include "io/data/image_reader.hpp"
#include "io/data/raw_array.hpp"

namespace gramtile {

/// True when the bytes begin like such a file.
bool is_mat5(std::span<const std::byte> head);

/// Images of the variable `key`, or of the one that choose_images() finds; MATLAB's [H, W, C, N] or
/// [H, W, N]. Labels by label_names(). Throws DataError: besides damage, what is no plain numeric
/// array, and files of big-endian machines.
std::unique_ptr<ImageReader> open_mat5(const SharedBytes& bytes, const std::string& key,
                                       DatasetRole role, std::uint64_t in_memory_bytes);

/// The variable `key`, or the one of labels that choose_labels() finds, with its axes in reverse.
RawArray open_mat5_array(const SharedBytes& bytes, const std::string& key, DatasetRole role,
                         std::uint64_t in_memory_bytes);

}  // namespace gramtile
