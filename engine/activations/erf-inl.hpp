// erf's pair function on lanes, docs/mathematics.md, eqs. 30 to 33. Included once per target.
//
// A pixel of an image has X = √(2xx/(1 + 2xx)) and a = 1/√(1 + 2xx), X² + a² = 1. With Y and b of
// the other image, s = 2·xy·a·b is the sine of the angle asked for, and its cosine
//
//   w = √((a·b)² + (X·b)² + (Y·a)² + (XY − |s|)(XY + |s|))
//
// is a sum of what is not negative: no digit cancels but in XY − |s|, where the images are parallel
// and xy, as rounded, does not tell more. The smaller of |s| and w is at most √½ and has a
// polynomial for its arcsine m·p(2m²) (erf_polynomials.hpp); of the larger it is ½π less that.
//
// Errors, in unit roundings: s 4 (a, b, two products), hence where |s| < w the value 8 relatively
// (polynomial 2½, two products; a double's fit is less than one, a float's 0.04). Elsewhere it is
// absolute: w² is off by 12 of itself and by 8 of X²Y² from XY − |s|, which is as if xy were off by
// 4 of √(xx·yy).
#pragma once

#include "engine/activations/erf_polynomials.hpp"
#include "engine/activations/point-inl.hpp"
#include "engine/activations/relu-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
class ErfLanes {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  static constexpr double kTwoOverPi = 0.63661977236758134308;

 public:
  static constexpr T kRowSecond = T(1);

  template <class Step>
  explicit ErfLanes(const Step& step)
      : scale_(static_cast<T>(kTwoOverPi * step.weight)), quarter_(static_cast<T>(step.weight)) {}

  template <int N>
  HWY_INLINE void Value(D d, const V (&xy)[N], const PointNumbers<N, V>& n, V (&value)[N]) const {
    V ab[N], s[N], w[N], m[N], z[N], p[N];
    Sides(d, xy, n, ab, s, w);
    GRAMTILE_EACH(k) m[k] = hn::Min(s[k], w[k]);
    GRAMTILE_EACH(k) z[k] = hn::Mul(m[k], m[k]);
    if constexpr (sizeof(T) == 4) PolynomialOfTwice(d, polynomials::kArcsineFloat, 1, z, p);
    if constexpr (sizeof(T) == 8) PolynomialOfTwice(d, polynomials::kArcsineDouble, 1, z, p);
    GRAMTILE_EACH(k) {
      const V angle = hn::Mul(m[k], p[k]);  // of the smaller side
      const V small = hn::Mul(angle, hn::Set(d, scale_));
      const V large = hn::NegMulAdd(angle, hn::Set(d, scale_), hn::Set(d, quarter_));
      value[k] = hn::CopySignToAbs(hn::IfThenElse(hn::Le(s[k], w[k]), small, large), xy[k]);
    }
  }
  // ∂F/∂xy = 4/π · ab/w; ∂F/∂xx = −2/π · s/w · a². bend: adjoint · 2/π · s/w.
  template <int N>
  HWY_INLINE void Adjoint(D d, const V (&xy)[N], const PointNumbers<N, V>& n, V (&a)[N],
                          V (&bend)[N]) const {
    V ab[N], s[N], w[N];
    Sides(d, xy, n, ab, s, w);
    GRAMTILE_EACH(k) a[k] = hn::Div(hn::Mul(a[k], hn::Set(d, scale_)), w[k]);
    GRAMTILE_EACH(k) bend[k] = hn::Mul(a[k], hn::CopySignToAbs(s[k], xy[k]));
    GRAMTILE_EACH(k) a[k] = hn::Mul(a[k], hn::Add(ab[k], ab[k]));
  }
  HWY_INLINE V Share(V bend, V) const { return bend; }
  HWY_INLINE V Own(D, V second) const { return hn::Neg(hn::Mul(second, second)); }
  // 4/π/((1 + 2xx)√(1 + 4xx)) = 4/π · a² · a/√(a² + 2X²)
  HWY_INLINE V Slope(D d, V first, V second) const {
    const V square = hn::Mul(second, second), other = hn::Mul(first, first);
    const V root = hn::Sqrt(hn::Add(square, hn::Add(other, other)));
    const V slope = hn::Mul(square, hn::Div(second, root));
    return hn::Mul(slope, hn::Set(d, scale_ + scale_));
  }

 private:
  // ab; |s|; and w, all of which both images make alike.
  template <int N>
  HWY_INLINE void Sides(D d, const V (&xy)[N], const PointNumbers<N, V>& n, V (&ab)[N], V (&s)[N],
                        V (&w)[N]) const {
    const auto square = [](V x) HWY_ATTR { return hn::Mul(x, x); };
    GRAMTILE_EACH(k) ab[k] = hn::Mul(n.row_second[k], n.pack_second[k]);
    GRAMTILE_EACH(k) {
      const V product = hn::Mul(n.row_first[k], n.pack_first[k]);  // XY
      const V sine = hn::Mul(hn::Abs(xy[k]), ab[k]);
      s[k] = hn::Min(hn::Add(sine, sine), product);  // |xy| > √(xx·yy) by rounding
      const V cross = hn::Add(square(hn::Mul(n.row_first[k], n.pack_second[k])),
                              square(hn::Mul(n.row_second[k], n.pack_first[k])));
      const V rest = hn::Mul(hn::Sub(product, s[k]), hn::Add(product, s[k]));
      w[k] = hn::Sqrt(hn::Add(hn::Add(square(ab[k]), cross), rest));
    }
    (void)d;
  }

  T scale_, quarter_;  // weight · 2/π, and of an angle of ½π
};

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
