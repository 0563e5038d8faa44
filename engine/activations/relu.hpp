// max(u, 0): the arc-cosine kernel of degree 1, without the factor 2 (docs/mathematics.md, eqs. 6
// to 10).
#pragma once

#include "engine/activations/pair_function.hpp"

namespace gramtile {

/// relu of one pixel of a pair, with what its derivatives need.
struct ReluCovariance {
  double value;       ///< f(xy, xx, yy)
  double by_xy;       ///< ∂f/∂xy
  double elasticity;  ///< e = xx·∂f/∂xx = yy·∂f/∂yy
};

/// Requires xx, yy ≥ 0 and finite numbers. Where xx·yy = 0: value 0, by_xy ¼, elasticity 0.
ReluCovariance relu_covariance(double xy, double xx, double yy);

struct Relu {
  static constexpr std::string_view kName = "relu";
  static constexpr bool kHomogeneous = true, kFused = true;
  static constexpr double kDepth = 1, kRoundings = 16;

  bool never_negative() const { return true; }
  ActivationCode code() const { return {.kind = ActivationKind::kRelu}; }
  PairValue at(const PixelPair& p) const;
  double diagonal(double xx) const { return xx / 2; }
  double diagonal_slope(double) const { return 0.5; }
  double steepest_slope(double) const { return 0.5; }
  StoredNumbers stored(double xx) const;  ///< √xx, and 1/√xx (rows: half of it); 0 where xx = 0
  double movement(const PixelPair& p, const PixelPair& tangent, double delta) const;
};
static_assert(PairFunction<Relu>);

}  // namespace gramtile
