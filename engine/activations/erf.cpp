#include "engine/activations/erf.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace gramtile {
namespace {

using std::numbers::pi;

/// Change of the two derivatives by a variance and by xy between two covariances.
double moved(const PairValue& from, const PairValue& to, const PixelPair& tangent) {
  return std::abs((to.by_xy - from.by_xy) * tangent.xy + (to.by_xx - from.by_xx) * tangent.xx +
                  (to.by_yy - from.by_yy) * tangent.yy);
}

}  // namespace

// With s = 2xy/√((1 + 2xx)(1 + 2yy)), asin s = atan2(2xy, √D), D = (1 + 2xx)(1 + 2yy) − 4xy². Where
// xy² is close to xx·yy the difference of the two is taken by itself, in long double, before 1 is
// added. ∂F/∂xy = 4/π/√D; ∂F/∂xx = −4/π·xy/√D/(1 + 2xx).
PairValue Erf::at(const PixelPair& p) const {
  using Wide = long double;
  const Wide xy = p.xy, xx = p.xx, yy = p.yy;
  const Wide rest = std::max<Wide>(xx * yy - xy * xy, 0);
  const Wide root = std::sqrt(1 + 2 * xx + 2 * yy + 4 * rest);
  // |xy| > √(xx·yy) by rounding counts as equal.
  const Wide limit = std::sqrt(xx) * std::sqrt(yy), z = std::clamp(xy, -limit, limit);
  const Wide slope = 4 / std::numbers::pi_v<Wide> / root;
  return {static_cast<double>(2 / std::numbers::pi_v<Wide> * std::atan2(2 * z, root)),
          static_cast<double>(slope), static_cast<double>(-slope * z / (1 + 2 * xx)),
          static_cast<double>(-slope * z / (1 + 2 * yy))};
}

// asin(2xx/(1 + 2xx)) = atan(2xx/√(1 + 4xx)), which cancels nowhere.
double Erf::diagonal(double xx) const { return 2 / pi * std::atan(2 * xx / std::sqrt(1 + 4 * xx)); }

double Erf::diagonal_slope(double xx) const {
  return 4 / pi / ((1 + 2 * xx) * std::sqrt(1 + 4 * xx));
}

// D ≥ 1 + 2xx + 2yy ≥ √((1 + 2xx)(1 + 2yy)), so 4/π/√D ≤ √(g(xx)·g(yy)), g(z) = 4/π/√(1 + 2z).
double Erf::steepest_slope(double xx) const { return 4 / pi / std::sqrt(1 + 2 * xx); }

StoredNumbers Erf::stored(double xx) const {
  const double a = 1 / std::sqrt(1 + 2 * xx), leg = std::sqrt(2 * xx) * a;
  return {.pack = {leg, a}, .row = {leg, a}};
}

// Derivatives change ever faster towards |xy| = √(xx·yy): the difference to both sides bounds it.
// And for large variances the three terms, which are rounded on their own, all but cancel: where θ
// scales both images, to 1/(1 + 2xx) of themselves.
double Erf::movement(const PixelPair& p, const PixelPair& tangent, double delta) const {
  const double error = delta * std::sqrt(p.xx) * std::sqrt(p.yy);
  const PairValue here = at(p);
  const double terms = std::abs(here.by_xy * tangent.xy) + std::abs(here.by_xx * tangent.xx) +
                       std::abs(here.by_yy * tangent.yy);
  return delta * terms + std::max(moved(here, at({p.xy - error, p.xx, p.yy}), tangent),
                                  moved(here, at({p.xy + error, p.xx, p.yy}), tangent));
}

}  // namespace gramtile
