// Random nested networks that fit their images, and random images, from a seed alone.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/network/network.hpp"
#include "engine/network/program.hpp"
#include "tests/support/random.hpp"

namespace gramtile::test {

struct RandomCase {
  Network network;
  ImageShape shape;  ///< 1 to 3 channels, 4 to 9 pixels an axis, not always square

  Program program() const { return lower(network, shape); }
};

/// Convolutions of every geometry (even kernels, strides, dilations, integer and "same" padding),
/// every activation, sequential, repeat, sum (with identities) and mixture, nested up to three
/// deep, with numbers and with named, shared, scaled and fixed parameters. Ends with a map of 1×1.
RandomCase random_case(std::uint64_t seed);

/// One to three branches: identities, and what `make_layers()` makes.
template <class MakeLayers>
std::vector<Layers> random_branches(Random& random, const MakeLayers& make_layers) {
  std::vector<Layers> branches;
  const Index count = random.integer(1, 3);
  for (Index b = 0; b < count; ++b) {
    branches.push_back(random.chance(0.3) ? Layers{} : make_layers());
  }
  return branches;
}

/// An image of normal pixels; about every fourth image has a black patch, every fourth has no
/// negative pixel.
std::vector<double> random_image(Random& random, ImageShape shape);

/// The program with `parameter` changed by `delta`, everything derived from it included.
Program with_shifted_parameter(Program program, Index parameter, double delta);

}  // namespace gramtile::test
