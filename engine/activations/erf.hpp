// The error function, erf(u) = 2/√π ∫₀ᵘ exp(−t²) dt (Williams 1997; docs/mathematics.md, eqs. 30 to
// 33):
//
//   xy → 2/π · asin(2xy/√((1 + 2xx)(1 + 2yy))),   xx → 2/π · asin(2xx/(1 + 2xx))
#pragma once

#include "engine/activations/pair_function.hpp"

namespace gramtile {

struct Erf {
  static constexpr std::string_view kName = "erf";
  static constexpr bool kHomogeneous = false, kFused = false;
  static constexpr double kDepth = 1, kRoundings = 32;

  bool never_negative() const { return false; }
  ActivationCode code() const { return {.kind = ActivationKind::kErf}; }
  PairValue at(const PixelPair& p) const;
  double diagonal(double xx) const;
  double diagonal_slope(double xx) const;
  double steepest_slope(double xx) const;
  /// With a = 1/√(1 + 2xx): √(2xx)·a and a, the sides of a right triangle of hypotenuse 1.
  StoredNumbers stored(double xx) const;
  double movement(const PixelPair& p, const PixelPair& tangent, double delta) const;
};
static_assert(PairFunction<Erf>);

}  // namespace gramtile
