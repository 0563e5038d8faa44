// A convolutional network of finite width with random weights: what the kernel is the limit of.
// Written naively, and straight from the definition of the network, not of the kernel.
#pragma once

#include <span>
#include <vector>

#include "engine/network/program.hpp"
#include "tests/support/random_network.hpp"

namespace gramtile::test {

/// Empirical covariances of one random network's outputs, averaged over its output units.
struct EmpiricalCovariance {
  double xy = 0, xx = 0, yy = 0;
};

/// Draws one network with `width` channels in every layer, the outputs included: weights normal
/// with variance var_weight/(k²·channels in), biases normal with variance var_bias. Sends both
/// images through it. Requires a program of convolutions and relus only.
EmpiricalCovariance sample_covariance(const Program& program, Index width,
                                      std::span<const double> x, std::span<const double> y,
                                      Random& random);

}  // namespace gramtile::test
