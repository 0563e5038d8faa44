// Images whose axes a file keeps in another order than [C, H, W].
#pragma once

#include <memory>

#include "io/data/image_reader.hpp"

namespace gramtile {

enum class AxisOrder {
  kChannelsLast,  ///< [H, W, C]: TensorFlow, Keras, most pictures
  kTransposed,    ///< [C, W, H]: what MATLAB's column-major [H, W, C] is in C order
};

/// `reader` takes the stored axes for [C, H, W]; the result gives them their right places. Holds a
/// copy of the images of one read.
std::unique_ptr<ImageReader> reorder_axes(std::unique_ptr<ImageReader> reader, AxisOrder order);

}  // namespace gramtile
