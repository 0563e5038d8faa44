#include "engine/activations/relu.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace gramtile {
namespace {

using std::numbers::pi;

/// Of acos c, when c is off by delta.
double angle_error(double c, double delta) {
  const double sine = std::sqrt((1 - c) * (1 + c)), largest = std::sqrt(2 * delta);
  return sine * largest <= delta ? largest : delta / sine;
}

}  // namespace

ReluCovariance relu_covariance(double xy, double xx, double yy) {
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

// Eqs. 9 and 10: ∂f/∂xx = e/xx and ∂f/∂yy = e/yy; where xx·yy = 0 both are 0 by convention.
PairValue Relu::at(const PixelPair& p) const {
  const ReluCovariance f = relu_covariance(p.xy, p.xx, p.yy);
  const double e = f.elasticity;
  return {f.value, f.by_xy, e == 0 ? 0 : e / p.xx, e == 0 ? 0 : e / p.yy};
}

StoredNumbers Relu::stored(double xx) const {
  const double root = std::sqrt(xx), inverse = xx == 0 ? 0 : 1 / root;
  return {.pack = {root, inverse}, .row = {root, 0.5 * inverse}};
}

// Slope and elasticity as functions of the angle, (π − ϑ)/2π and r·sin ϑ/4π, make the tangent
//
//   (π − ϑ)/2π · ẋy + r·sin ϑ/4π · (ẋx/xx + ẏy/yy),
//
// which moves with ϑ by −r/4π · (2ẋy/r − cos ϑ · (ẋx/xx + ẏy/yy)): not at all where the two images
// are scaled alike.
double Relu::movement(const PixelPair& p, const PixelPair& tangent, double delta) const {
  const double r = std::sqrt(p.xx) * std::sqrt(p.yy);
  if (r == 0) return std::abs(tangent.xy) * std::sqrt(2 * delta) / (2 * pi);
  const double both = tangent.xx / p.xx + tangent.yy / p.yy;
  const double c = std::clamp(p.xy / r, -1.0, 1.0);
  return angle_error(c, delta) * std::abs(2 * tangent.xy - c * r * both) / (4 * pi);
}

}  // namespace gramtile
