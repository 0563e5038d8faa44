#include "engine/reference/relu.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace gramtile::reference {

ReluCovariance relu_covariance(double xy, double xx, double yy) {
  using std::numbers::pi;
  // r = sqrt(xx·yy), as a product of roots: xx·yy itself may overflow or vanish.
  const double r = std::sqrt(xx) * std::sqrt(yy);
  if (r == 0) {
    return {.value = 0, .by_xy = 0.25, .elasticity = 0};
  }
  // c = cos θ. Clamped once; sine and angle both come from this same number, so that the error of c
  // (which near ±1 is a large error of θ) cancels between them. 1 − c is exact for c ≥ ½ and 1 + c
  // for c ≤ −½, hence the factors; and π − θ = acos(−c) keeps its digits near c = −1.
  const double c = std::clamp(xy / r, -1.0, 1.0);
  const double sine = std::sqrt((1 - c) * (1 + c));
  const double pi_minus_theta = std::acos(-c);
  return {
      // f = r·(sin θ + (π − θ)·cos θ)/2π
      .value = r * (sine + pi_minus_theta * c) / (2 * pi),
      // ∂f/∂xy = (π − θ)/2π
      .by_xy = pi_minus_theta / (2 * pi),
      // e = r·sin θ/4π
      .elasticity = r * sine / (4 * pi),
  };
}

}  // namespace gramtile::reference
