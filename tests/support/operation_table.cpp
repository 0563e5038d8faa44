// Errors behind an activation, and in front of it on the way back. With u the unit rounding of xy,
// and ε and v the errors of xy and of variances that come in, relative to s = √(xx·yy) and to the
// variance:
//
//  relu        ∂f/∂xy ≤ ½ while s is halved, so ε passes unchanged. Of f's own computation,
//              relative to r: √xx and √yy are off by 1 u each and half the variance's error, their
//              inverses by 2 u each; hence r by 2 u + v, t = 1 − |c| by 6 u + v. With √t·g(t) ≤
//              0.32 and t·|Δ(√t·g)| ≤ 0.32·Δt, and 6 roundings in polynomial, root and products, f
//              is off by 0.32·(3 u + v) + 0.32·(6 u + v) + 0.32·6 u + u < 6 u + v, and by the fit.
//              (The reference's angle, sine and products take no more than 8 u + v.)
//  leaky relu  (1 − α)²·f's errors, beside (1 + α²)/2·s: twice those of the relu at the worst; and
//              of its two terms, |α| + (1 − α)²/2 ≤ 3·(1 + α²)/2, 3 u each. ∂F/∂xy ≤ (1 + α²)/2.
//  erf         not passed on unchanged, but times A = ∂F/∂xy·r/√(F(xx, xx, xx)·F(yy, yy, yy)),
//  which
//              is taken where the pair has it, and there where it is largest: |xy| as much larger
//              as it may be. xx moves the angle half as much as xy, and the stored numbers, w and s
//              are as if xy were off by 8 u (erf-inl.hpp); its own roundings are 8 u in the
//              polynomial's branch, 12 u in the other, and less than 2 u of the fit.
//
// Derivatives, with ε = largest_covariance_error():
//
//  cosine  c = xy/r: δ = 2 ε + 8 u (xy; r's half of the variances' errors; roots and products).
//  angle   |acos a − acos b| ≤ δ/√(1 − (|c| + δ)²), and ≤ acos(1 − δ) ≤ π √(δ/2) anywhere.
//  slope   (π − θ)/2π: δθ/2π, half the angle's fit, and 8 u.
//  e       r sin θ/4π: r/4π·(δθ + (sine's fit + 12 u)·sin θ); divided by xx: 3 u and ε more.
//  leaky   (1 − α)² of the relu's, and 5 u of each term.
//  erf     its derivatives, evaluated again where xy is off by (2 ε + 16 u)·s to either side, and
//  16 u
//          + 2 ε of themselves (products, the quotient, xx's own factor).
#include "tests/support/operation_table.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <stdexcept>

#include "engine/core/worst_of.hpp"
#include "engine/simd/instruction_set.hpp"
#include "tests/support/rounding_bound.hpp"

namespace gramtile::test {
namespace {

using std::numbers::pi;

/// A; 1 where a variance is 0: its limit is less.
double magnification(const Erf& erf, const reference::PairMaps& maps, double error) {
  double largest = 1;
  for (std::size_t p = 0; p < maps.xy.size(); ++p) {
    const double r = std::sqrt(maps.xx[p]) * std::sqrt(maps.yy[p]);
    if (r == 0) continue;
    const double xy = std::abs(maps.xy[p]) + error * r;
    const double scale = std::sqrt(erf.diagonal(maps.xx[p])) * std::sqrt(erf.diagonal(maps.yy[p]));
    largest = std::max(largest, erf.at({xy, maps.xx[p], maps.yy[p]}).by_xy * r / scale);
  }
  return largest;
}

}  // namespace

Activation random_activation(Random& random) {
  static_assert(std::variant_size_v<Activation> == 3, "the new one has to be drawn, too");
  constexpr double kSlopes[] = {0, 1, -1, 2, 0.01};
  const double kind = random.uniform();
  if (kind < 0.6) return Relu{};
  if (kind < 0.8) {
    const bool special = random.chance(0.4);
    return LeakyRelu{special ? kSlopes[random.integer(0, 4)] : random.uniform(-1, 1)};
  }
  return Erf{};
}

double activated(const Relu&, double u) { return std::max(u, 0.0); }
double activated(const LeakyRelu& leaky, double u) { return u > 0 ? u : leaky.negative_slope * u; }
double activated(const Erf&, double u) { return std::erf(u); }

Errors errors_behind(const Relu&, const Errors& in, const Arithmetic& arithmetic,
                     const reference::PairMaps*) {
  const double u = arithmetic.covariance_rounding;
  return {in.covariance + in.variance + 8 * u + arithmetic.relu_fit, in.variance};
}
Errors errors_behind(const LeakyRelu&, const Errors& in, const Arithmetic& arithmetic,
                     const reference::PairMaps*) {
  const double u = arithmetic.covariance_rounding;
  return {in.covariance + 2 * (in.variance + 8 * u + arithmetic.relu_fit) + 9 * u,
          in.variance + 4 * arithmetic.variance_rounding};
}
Errors errors_behind(const Erf& erf, const Errors& in, const Arithmetic& arithmetic,
                     const reference::PairMaps* maps) {
  if (maps == nullptr) throw std::invalid_argument("an erf's errors depend on the images");
  const double u = arithmetic.covariance_rounding;
  const double error = in.covariance + in.variance + 8 * u;
  return {magnification(erf, *maps, error) * error + 14 * u,
          in.variance + 4 * arithmetic.variance_rounding};
}

SlopeBounds::SlopeBounds(DataType type, double epsilon, AngleErrors angles)
    : u_(unit_rounding(type)),
      epsilon_(epsilon),
      fit_(relu_derivative_fit(type)),
      angles_(angles) {}

Slopes SlopeBounds::of(const Relu& relu, const PixelPair& p) const {
  const double r = std::sqrt(p.xx) * std::sqrt(p.yy);
  Slopes slopes{.size = relu.at(p), .error = {}};
  if (r == 0) return slopes;
  const double angle = angle_error(p.xy / r);
  slopes.error.by_xy = angle / (2 * pi) + angle_fit(p.xy / r) / 2 + 8 * u_;
  const double elasticity = relu_covariance(p.xy, p.xx, p.yy).elasticity;
  const double e = r * angle / (4 * pi) + elasticity * (fit_.sine + 15 * u_ + epsilon_);
  slopes.error.by_xx = e / p.xx;
  slopes.error.by_yy = e / p.yy;
  return slopes;
}
Slopes SlopeBounds::of(const LeakyRelu& leaky, const PixelPair& p) const {
  const double alpha = std::abs(leaky.negative_slope);
  const double part = (1 - leaky.negative_slope) * (1 - leaky.negative_slope);
  Slopes slopes = of(Relu(), p);
  const auto scale = [&](double PairValue::*by, double linear) {
    slopes.error.*by = part * slopes.error.*by + 5 * u_ * (part * slopes.size.*by + linear);
    slopes.size.*by = part * slopes.size.*by + linear;
  };
  scale(&PairValue::by_xy, alpha);
  scale(&PairValue::by_xx, 0);
  scale(&PairValue::by_yy, 0);
  return slopes;
}
Slopes SlopeBounds::of(const Erf& erf, const PixelPair& p) const {
  const double moved = (2 * epsilon_ + 16 * u_) * std::sqrt(p.xx) * std::sqrt(p.yy);
  const PairValue here = erf.at(p), less = erf.at({p.xy - moved, p.xx, p.yy}),
                  more = erf.at({p.xy + moved, p.xx, p.yy});
  Slopes slopes{};
  const auto set = [&](double PairValue::*by) {
    slopes.size.*by = std::abs(here.*by);
    slopes.error.*by = worst_of(std::abs(more.*by - here.*by), std::abs(less.*by - here.*by)) +
                       (16 * u_ + 2 * epsilon_) * slopes.size.*by;
  };
  set(&PairValue::by_xy);
  set(&PairValue::by_xx);
  set(&PairValue::by_yy);
  return slopes;
}

double SlopeBounds::angle_error(double cosine) const {
  if (angles_ == AngleErrors::kCancelling) return 0;
  const double delta = 2 * epsilon_ + 8 * u_;
  const double c = std::min(1.0, std::abs(cosine) + delta);
  return std::min(delta / std::sqrt((1 - c) * (1 + c)), pi * std::sqrt(delta / 2));
}

double SlopeBounds::angle_fit(double cosine) const {
  return std::max(fit_.angle, fit_.nonnegative_angle_at(std::abs(cosine)));
}

ReluDerivativeFit relu_derivative_fit(DataType type) {
  const bool is_float = type == DataType::kFloat32;
  // As in relu_fit_error(): 3/8 e² or 5/16 e³ / 4 with |e| ≤ 2⁻¹³, and a thousandth.
  const double root =
      instruction_set() != "AVX3" ? 0 : 1.001 * (is_float ? 3.0 / 8 * 0x1p-26 : 5.0 / 64 * 0x1p-39);
  return is_float ? ReluDerivativeFit{4.4e-7 + root, 5.5e-7, 4, root}
                  : ReluDerivativeFit{2.4e-13 + root, 6.2e-13, 0, root};
}

double ReluDerivativeFit::nonnegative_angle_at(double c) const {
  const double t = 1 - std::min(c, 1.0);
  return nonnegative_angle * (1 + growth * t * t * t) + sine;
}

}  // namespace gramtile::test
