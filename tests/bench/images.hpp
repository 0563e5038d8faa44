// Images to compute with: MNIST where it is at hand, else synthetic strokes.
#pragma once

#include <string>
#include <vector>

#include "engine/core/index.hpp"

namespace gramtile::bench {

struct Images {
  ImageShape shape;
  std::vector<double> pixels;  ///< [num_examples, C, H, W]
  std::string origin;          ///< "MNIST" or "strokes"
};

/// The first `num_examples` of MNIST for 1×28×28 (GRAMTILE_MNIST in the environment, or the folder
/// known from the build), else strokes.
Images load_images(ImageShape shape, Index num_examples);

/// White polylines on black, the same on every machine. About a fifth of the pixels is not black,
/// as in MNIST.
Images draw_strokes(ImageShape shape, Index num_examples);

}  // namespace gramtile::bench
