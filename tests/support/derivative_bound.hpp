// How far the lane engine's derivatives of one pair may be from the reference's: a bound that is
// carried backwards through the network operation by operation, not tuned.
#pragma once

#include <span>
#include <vector>

#include "engine/core/index.hpp"
#include "engine/network/program.hpp"
#include "tests/support/operation_table.hpp"

namespace gramtile::test {

struct DerivativeBound {
  std::vector<double> error;  ///< [P] of |∂K/∂θ of the lanes − ∂K/∂θ of the reference|
  std::vector<double> magnitude;  ///< [P] of the terms of ∂K/∂θ, each taken absolutely
};

/// Roundings of both engines included. Like kernel_bound() it holds for images without a pixel
/// whose variance is positive but smaller than the lanes keep. `diagonal`: K(x, x) as a variance.
DerivativeBound derivative_bound(const Program& program, std::span<const double> x,
                                 std::span<const double> y, DataType type, bool diagonal = false,
                                 AngleErrors angles = AngleErrors::kIndependent);

/// Roundings that a gradient adds to those of its pairs, as a factor of unit_rounding(type) and of
/// Σ |upstream| · magnitude: ∂L/∂K rounded to the type and added to its mirror image (3), sums over
/// at most 64 lanes and 64 rows in that type, the final sums in double (1).
inline constexpr double kGradientRoundings = 3 + 64 + 64 + 1;

}  // namespace gramtile::test
