// max(u, 0) + α·min(u, 0): with the relu's f, and since φ(u) = (1 − α)·max(u, 0) + α·u
// (docs/mathematics.md, eq. 29),
//
//   xy → (1 − α)²·f + α·xy,   xx → (1 + α²)/2 · xx
//
// α = 0 is the relu, −1 is |u|, 1 the identity.
#pragma once

#include "engine/activations/pair_function.hpp"

namespace gramtile {

struct LeakyRelu {
  static constexpr std::string_view kName = "leaky_relu";
  static constexpr bool kHomogeneous = true, kFused = false;
  /// (1 − α)²/2 of the relu's errors, beside (1 + α²)/2 · √(xx·yy): twice as much at the worst.
  static constexpr double kDepth = 2, kRoundings = 32;
  /// Slopes beyond ± this are refused: with it, squares and all that is made of them stay finite.
  static constexpr double kLargestSlope = 1e100;

  double negative_slope = 0;  ///< α

  bool never_negative() const { return negative_slope <= 0; }
  ActivationCode code() const {
    return {.kind = ActivationKind::kLeakyRelu, .negative_slope = negative_slope};
  }
  PairValue at(const PixelPair& p) const;
  double diagonal(double xx) const { return diagonal_slope(xx) * xx; }
  double diagonal_slope(double) const { return (1 + negative_slope * negative_slope) / 2; }
  double steepest_slope(double xx) const { return diagonal_slope(xx); }
  StoredNumbers stored(double xx) const;  ///< as of the relu
  double movement(const PixelPair& p, const PixelPair& tangent, double delta) const;
};
static_assert(PairFunction<LeakyRelu>);

}  // namespace gramtile
