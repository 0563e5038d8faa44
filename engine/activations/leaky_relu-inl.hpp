// The leaky relu on lanes: the relu's polynomials, and a linear term. Included once per target.
//
//   F = (1 − α)²/2 · (twice the relu) + α · xy
#pragma once

#include "engine/activations/point-inl.hpp"
#include "engine/activations/relu-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
class LeakyReluLanes {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;

 public:
  static constexpr T kRowSecond = T(2);

  template <class Step>
  explicit LeakyReluLanes(const Step& step)
      : part_(static_cast<T>(step.weight * Square(1 - step.activation.negative_slope) / 2)),
        linear_(static_cast<T>(step.weight * step.activation.negative_slope)),
        gain_(static_cast<T>(step.weight * (1 + Square(step.activation.negative_slope)) / 2)) {}

  template <int N>
  HWY_INLINE void Value(D d, const V (&xy)[N], const PointNumbers<N, V>& n, V (&value)[N]) const {
    V half_inverse[N], u[N], f[N];
    GRAMTILE_EACH(k) half_inverse[k] = hn::Mul(n.row_second[k], n.pack_second[k]);
    TwiceReluByPolynomial<false>(d, xy, n.row_first, n.pack_first, half_inverse, u, f);
    GRAMTILE_EACH(k)
    value[k] = hn::MulAdd(f[k], hn::Set(d, part_), hn::Mul(xy[k], hn::Set(d, linear_)));
  }
  // bend: adjoint · (1 − α)²/2 · sin θ.
  template <int N>
  HWY_INLINE void Adjoint(D d, const V (&xy)[N], const PointNumbers<N, V>& n, V (&a)[N],
                          V (&bend)[N]) const {
    V half_inverse[N], u[N], slope[N];
    GRAMTILE_EACH(k) half_inverse[k] = hn::Mul(n.row_second[k], n.pack_second[k]);
    Haversine<false>(d, xy, half_inverse, u);
    GRAMTILE_EACH(k) slope[k] = hn::Mul(a[k], hn::Set(d, part_));
    MultiplyByDerivative<false>(d, u, xy, slope, bend);
    GRAMTILE_EACH(k) a[k] = hn::MulAdd(a[k], hn::Set(d, linear_), slope[k]);
  }
  // r/(2π xx) = √yy · 1/(2π √xx)
  HWY_INLINE V Share(V bend, V other_first) const { return hn::Mul(bend, other_first); }
  HWY_INLINE V Own(D d, V second) const {
    constexpr double kInverseTwoPi = 0.15915494309189533577;
    return hn::Mul(second, hn::Set(d, static_cast<T>(kInverseTwoPi)));
  }
  HWY_INLINE V Slope(D d, V, V) const { return hn::Set(d, gain_); }

 private:
  static HWY_INLINE double Square(double x) { return x * x; }

  T part_, linear_, gain_;
};

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
