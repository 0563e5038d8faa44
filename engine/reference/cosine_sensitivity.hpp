// How well a pair's derivatives are determined. Where the two inputs of a relu are parallel, c =
// ±1, its angle moves by √(2δ) when c moves by δ: a rounding of c is then seen in ∂K/∂θ with half
// the digits, unless the derivatives of c itself vanish (docs/mathematics.md, §7).
#pragma once

#include <span>
#include <vector>

#include "engine/network/program.hpp"

namespace gramtile::reference {

/// To first order, how far ∂K(x, y)/∂θ [P] moves at most when every relu's cosine, at every pixel,
/// is off by `delta`. Where a variance is 0, and the angle a convention, that counts as off by
/// √(2δ). One run of the recursion for every parameter.
std::vector<double> cosine_sensitivity(const Program& program, std::span<const double> x,
                                       std::span<const double> y, double delta);

}  // namespace gramtile::reference
