// Folders with the usual file names of MNIST and CIFAR-10, and IDX files with their labels beside
// them.
#pragma once

#include <memory>
#include <string>

#include "io/data/dataset.hpp"
#include "io/data/image_reader.hpp"

namespace gramtile {

/// MNIST: train-images-idx3-ubyte, t10k-images-idx3-ubyte, their labels, plain or .gz, here or in
/// raw/ or MNIST/raw/. CIFAR-10: data_batch_1.bin to data_batch_5.bin, test_batch.bin, here or in
/// cifar-10-batches-bin/. Throws DataError naming what was looked for.
std::unique_ptr<ImageReader> open_folder(const std::string& path, DatasetRole role,
                                         std::uint64_t in_memory_bytes);

/// The images of an IDX file, plain or gzip. A file of the same name with "labels-idx1" in place of
/// "images-idx3" beside it holds their labels.
std::unique_ptr<ImageReader> open_idx_file(const std::string& path, std::uint64_t in_memory_bytes);

}  // namespace gramtile
