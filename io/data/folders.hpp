// Folders with the usual file names of the public data sets, and files with their labels beside
// them.
#pragma once

#include <memory>
#include <string>

#include "io/data/dataset.hpp"
#include "io/data/image_reader.hpp"
#include "io/data/raw_array.hpp"

namespace gramtile {

/// Here or in the folder that the archive makes: MNIST (raw/, MNIST/raw/) and QMNIST, plain or
/// .gz; CIFAR-10 (cifar-10-batches-bin/), CIFAR-100 (cifar-100-binary/), STL-10 (stl10_binary/),
/// SVHN's train_32x32.mat and test_32x32.mat. Throws DataError naming what was looked for.
std::unique_ptr<ImageReader> open_folder(const std::string& path, DatasetRole role,
                                         std::uint64_t in_memory_bytes);

/// An IDX file, plain or gzip.
RawArray open_idx(const std::string& path, std::uint64_t in_memory_bytes);

/// The images of an IDX file, plain or gzip. A file of the same name with "labels" in place of
/// "images" and "idx1-ubyte" (QMNIST: "idx2-int") of "idx3-ubyte" beside it holds their labels.
std::unique_ptr<ImageReader> open_idx_file(const std::string& path, std::uint64_t in_memory_bytes);

/// STL-10's train_X.bin, test_X.bin or unlabeled_X.bin, labels from train_y.bin or test_y.bin.
std::unique_ptr<ImageReader> open_stl10_file(const std::string& path);

}  // namespace gramtile
