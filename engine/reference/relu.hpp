// The arc-cosine kernel of degree 1, without the factor 2 (docs/mathematics.md, eqs. 6 to 10).
#pragma once

namespace gramtile::reference {

/// relu of one pixel of a pair, with what its derivatives need.
struct ReluCovariance {
  double value;       ///< f(xy, xx, yy)
  double by_xy;       ///< ∂f/∂xy
  double elasticity;  ///< e = xx·∂f/∂xx = yy·∂f/∂yy
};

/// Requires xx, yy ≥ 0 and finite numbers. Where xx·yy = 0: value 0, by_xy ¼, elasticity 0.
ReluCovariance relu_covariance(double xy, double xx, double yy);

}  // namespace gramtile::reference
