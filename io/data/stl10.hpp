// STL-10, binary version: images [N, 3, 96, 96] of uint8, each channel column by column, and their
// labels (1 to 10), one byte each, in a file of their own. Layout:
// https://cs.stanford.edu/~acoates/stl10/
#pragma once

#include <memory>
#include <optional>

#include "io/data/byte_source.hpp"
#include "io/data/image_reader.hpp"
#include "io/data/raw_array.hpp"

namespace gramtile {

/// Throws DataError: a file that is no whole number of images, and at least one.
std::unique_ptr<ImageReader> open_stl10(SharedBytes images, std::optional<RawArray> labels);

/// One label per byte.
RawArray stl10_labels(SharedBytes bytes);

}  // namespace gramtile
