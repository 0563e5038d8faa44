// CIFAR-10, binary version: files of records of 3073 bytes, one label (0 to 9) and an image
// [3, 32, 32] of uint8. Layout: https://www.cs.toronto.edu/~kriz/cifar.html
#pragma once

#include <memory>
#include <vector>

#include "io/data/byte_source.hpp"
#include "io/data/image_reader.hpp"

namespace gramtile {

/// The records of all `files`, one after another. Throws DataError: a file that is no whole number
/// of records, and at least one; when labels are read, a label past 9.
std::unique_ptr<ImageReader> open_cifar(std::vector<SharedBytes> files);

}  // namespace gramtile
