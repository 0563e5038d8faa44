// CIFAR, binary versions: files of records, labels and an image [3, 32, 32] of uint8. CIFAR-10's
// records have one label (0 to 9), CIFAR-100's two: of 20 coarse and of 100 fine classes; the fine
// one is taken. Layout: https://www.cs.toronto.edu/~kriz/cifar.html
#pragma once

#include <memory>
#include <vector>

#include "io/data/byte_source.hpp"
#include "io/data/image_reader.hpp"

namespace gramtile {

enum class CifarKind { kCifar10, kCifar100 };

/// The records of all `files`, one after another. Throws DataError: a file that is no whole number
/// of records, and at least one; when labels are read, a label past the last class.
std::unique_ptr<ImageReader> open_cifar(std::vector<SharedBytes> files,
                                        CifarKind kind = CifarKind::kCifar10);

}  // namespace gramtile
