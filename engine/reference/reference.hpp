// The textbook recursion in double, one pair at a time: the readable statement of the mathematics
// (docs/mathematics.md) and the oracle for everything fast. Slow on purpose.
#pragma once

#include <span>
#include <vector>

#include "engine/network/program.hpp"

namespace gramtile::reference {

/// K(x, y) for two images [C, H, W] of program.input's shape.
double kernel(const Program& program, std::span<const double> x, std::span<const double> y);

/// K(x, x) as the diagonal has it: the variance `xx`, not the arc-cosine recursion.
double kernel_diagonal(const Program& program, std::span<const double> x);

/// A kernel entry and its derivative by every parameter.
struct PairGradient {
  double kernel = 0;
  std::vector<double> gradient;  ///< [P], in the order of program.parameters
};

/// Reverse mode over one pair.
PairGradient kernel_gradient(const Program& program, std::span<const double> x,
                             std::span<const double> y);
PairGradient kernel_diagonal_gradient(const Program& program, std::span<const double> x);

}  // namespace gramtile::reference
