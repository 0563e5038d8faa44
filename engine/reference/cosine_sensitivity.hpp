// How well a pair's numbers are determined. Where the two inputs of a relu are parallel, c =
// ±1, its angle moves by √(2δ) when c moves by δ: a rounding of c is then seen in ∂K/∂θ with half
// the digits, unless the derivatives of c itself vanish (docs/mathematics.md, §7).
#pragma once

#include <span>
#include <vector>

#include "engine/network/program.hpp"

namespace gramtile::reference {

/// To first order, how far ∂K(x, y)/∂θ [P] moves at most when the cosine in front of every
/// activation, at every pixel, is off by `delta`; behind an activation that is not homogeneous by
/// as much as it makes of that. Where a variance is 0, and a relu's angle a convention, that counts
/// as off by √(2δ). One run of the recursion for every parameter.
std::vector<double> cosine_sensitivity(const Program& program, std::span<const double> x,
                                       std::span<const double> y, double delta);

/// By how much more than `delta` · √(K(x, x)·K(y, y)) the errors of xy, `delta` of √(xx·yy) at
/// every value, can be off at K(x, y). 0 where all activations are homogeneous; an erf of large
/// variances, all but a sign, makes much of the small difference between two images that are almost
/// parallel.
double magnified_error(const Program& program, std::span<const double> x, std::span<const double> y,
                       double delta);

}  // namespace gramtile::reference
