// The relu on lanes, docs/mathematics.md, and the square root it needs. Included once per target.
//
// With r = √xx √yy, c = xy/r = cos θ, u = (1 − |c|)/2 = sin² θ/2, the haversine of the angle, and
// f = 2·relu (the ½ is folded into the next weight):
//   f = max(xy, 0) + (r − |xy|) · √(2u) g(2u)                                             (21)
// √xx and 1/√xx come from the variance stack, so there is no division; products of the two images'
// maps commute, so f has the same bits whichever image is the row.
//
// u is clamped to at least kTiny instead of 0: at |c| = 1 the second term then is below 1e-15 · r ·
// 0, and an approximate reciprocal root never sees 0. Where xx·yy = 0 both maps are 0, hence f =
// max(xy, 0) = 0.
#pragma once

#include "engine/activations/relu_polynomials.hpp"
#include "engine/activations/relu_table.hpp"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class T>
inline constexpr T kTiny = sizeof(T) == 4 ? T(1e-30) : T(1e-290);

// N pixels are computed in step, here and below: chains of dependent operations are long (12 × 4
// cycles) against what a processor can look ahead, so neighbours are interleaved by hand. Four
// where registers are many; double has so many coefficients that two are faster.
template <class T>
constexpr int kTogether = HWY_TARGET <= HWY_AVX3 && sizeof(T) == 4 ? 4 : 2;
#define GRAMTILE_EACH(k) HWY_UNROLL(4) for (int k = 0; k < N; ++k)

// y ≈ 1/√u to 2⁻¹⁴ for u ≥ kTiny. AVX-512's square root takes 12.5 cycles (float; 25 double) a
// vector, as long as all the rest together, so there √u is made of y: with s = u·y, e = 1 − s·y,
// |e| ≤ 2⁻¹³, √u = s (1 + e/2 + 3e²/8 + …). Float keeps the first order, error 3/8 e² = 5.6e-9;
// double the second, its coefficients refitted on |e| ≤ 2⁻¹³: error 5/16 e³ / 4 = 1.42e-13. That
// is, 5/16 e³ is replaced by its best line there, kLine·e.
#if HWY_TARGET <= HWY_AVX3
HWY_INLINE hn::Vec<hn::ScalableTag<float>> InverseRoot(hn::Vec<hn::ScalableTag<float>> u) {
  return hn::Vec<hn::ScalableTag<float>>{_mm512_rsqrt14_ps(u.raw)};
}
HWY_INLINE hn::Vec<hn::ScalableTag<double>> InverseRoot(hn::Vec<hn::ScalableTag<double>> u) {
  return hn::Vec<hn::ScalableTag<double>>{_mm512_rsqrt14_pd(u.raw)};
}
#endif
constexpr double kLine = 15.0 / 64 / 8192 / 8192;

// root = 2 √v, for v ≥ kTiny.
template <int N, class D, class V = hn::Vec<D>>
HWY_INLINE void TwiceRoot([[maybe_unused]] D d, const V (&v)[N], V (&root)[N]) {
#if HWY_TARGET <= HWY_AVX3
  V y[N], correction[N];
  GRAMTILE_EACH(k) y[k] = InverseRoot(v[k]);
  GRAMTILE_EACH(k) root[k] = hn::Mul(v[k], y[k]);
  if constexpr (sizeof(hn::TFromD<D>) == 4) {
    // 2 s (1 + e/2) = s (3 − s·y)
    GRAMTILE_EACH(k) correction[k] = hn::NegMulAdd(root[k], y[k], hn::Set(d, 3.0f));
  } else {
    const V first = hn::Set(d, 1 + 2 * kLine);
    GRAMTILE_EACH(k) y[k] = hn::NegMulAdd(root[k], y[k], hn::Set(d, 1.0));
    GRAMTILE_EACH(k) correction[k] = hn::MulAdd(y[k], hn::Set(d, 0.75), first);
    GRAMTILE_EACH(k) correction[k] = hn::MulAdd(correction[k], y[k], hn::Set(d, 2.0));
  }
  GRAMTILE_EACH(k) root[k] = hn::Mul(root[k], correction[k]);
#else
  GRAMTILE_EACH(k) root[k] = hn::Sqrt(v[k]);
  GRAMTILE_EACH(k) root[k] = hn::Add(root[k], root[k]);
#endif
}

// What a polynomial that is multiplied by MultiplyBySqrt has to be scaled with.
template <class T>
constexpr double PolynomialScale() {
#if HWY_TARGET <= HWY_AVX3
  return sizeof(T) == 4 ? 0.5 : 0.375;
#else
  return 1.0;
#endif
}

// p ← √u · p / PolynomialScale, for u ≥ kTiny; the root in two factors, so that p's product with
// one of them can start early. Taking every second pixel's root from the divider, which works
// beside the vector ports, gained 3 % in float, at the price of bits that depend on a pixel's
// place: not taken.
template <int N, class D, class V = hn::Vec<D>>
HWY_INLINE void MultiplyBySqrt([[maybe_unused]] D d, const V (&u)[N], V (&p)[N]) {
  V s[N];
#if HWY_TARGET <= HWY_AVX3
  V y[N];
  GRAMTILE_EACH(k) y[k] = InverseRoot(u[k]);
  GRAMTILE_EACH(k) s[k] = hn::Mul(u[k], y[k]);
  if constexpr (sizeof(hn::TFromD<D>) == 4) {
    GRAMTILE_EACH(k) y[k] = hn::NegMulAdd(s[k], y[k], hn::Set(d, 3.0f));
  } else {
    // 1 + (½ + kLine) e + ⅜ e², completed to a square: ⅜ ((s·y − kVertex)² + kRest)
    constexpr double kVertex = 1 + (0.5 + kLine) / 0.75;
    constexpr double kRest = 1 / 0.375 - (kVertex - 1) * (kVertex - 1);
    GRAMTILE_EACH(k) y[k] = hn::MulSub(s[k], y[k], hn::Set(d, kVertex));
    GRAMTILE_EACH(k) y[k] = hn::MulAdd(y[k], y[k], hn::Set(d, kRest));
  }
  GRAMTILE_EACH(k) p[k] = hn::Mul(p[k], y[k]);
#else
  GRAMTILE_EACH(k) s[k] = hn::Sqrt(u[k]);
#endif
  GRAMTILE_EACH(k) p[k] = hn::Mul(p[k], s[k]);
}

// p = Horner's rule for scale · Σ_k coefficients[k] (2u)^k; the powers of two are folded at compile
// time.
template <int N, class D, size_t M, class V = hn::Vec<D>>
HWY_INLINE void PolynomialOfTwice(D d, const double (&coefficients)[M], double scale,
                                  const V (&u)[N], V (&p)[N]) {
  using T = hn::TFromD<D>;
  double power = scale * static_cast<double>(size_t{1} << (M - 1));
  GRAMTILE_EACH(k) p[k] = hn::Set(d, static_cast<T>(coefficients[M - 1] * power));
  HWY_UNROLL(16)
  for (int i = static_cast<int>(M) - 2; i >= 0; --i) {
    power *= 0.5;
    GRAMTILE_EACH(k)
    p[k] = hn::MulAdd(p[k], u[k], hn::Set(d, static_cast<T>(coefficients[i] * power)));
  }
}

// The same for the adapted form; its powers of two are moved to where they are folded, too.
template <int N, class D, class V = hn::Vec<D>>
HWY_INLINE void PolynomialOfTwice(D d, const polynomials::AdaptedPolynomial& form, double scale,
                                  const V (&u)[N], V (&p)[N]) {
  constexpr int kNumSteps = polynomials::AdaptedPolynomial::kNumSteps;
  double power = scale * static_cast<double>(size_t{1} << (2 * kNumSteps));
  V w[N];
  GRAMTILE_EACH(k) w[k] = hn::Add(u[k], hn::Set(d, form.shift / 2));
  GRAMTILE_EACH(k)
  p[k] = hn::MulAdd(w[k], hn::Set(d, 2 * form.a * power), hn::Set(d, form.b * power));
  HWY_UNROLL(8)
  for (int i = 0; i < kNumSteps; ++i) {
    power *= 0.25;
    GRAMTILE_EACH(k)
    p[k] = hn::MulAdd(p[k], hn::MulSub(w[k], w[k], hn::Set(d, form.roots[i] / 4)),
                      hn::Set(d, form.rests[i] * power));
  }
}

constexpr double kSqrt2 = 1.41421356237309504880;

// u, the haversine. kNonneg, here and below: xy ≥ 0 is known. `half_inverse` is 1/(2r).
template <bool kNonneg, int N, class D, class V = hn::Vec<D>>
HWY_INLINE void Haversine(D d, const V (&xy)[N], const V (&half_inverse)[N], V (&u)[N]) {
  using T = hn::TFromD<D>;
  GRAMTILE_EACH(k) u[k] = kNonneg ? xy[k] : hn::Abs(xy[k]);
  GRAMTILE_EACH(k) u[k] = hn::NegMulAdd(u[k], half_inverse[k], hn::Set(d, T(0.5)));
  GRAMTILE_EACH(k) u[k] = hn::Max(u[k], hn::Set(d, kTiny<T>));
}

// f = twice the relu of xy; u: its haversine.
template <bool kNonneg, int N, class D, class V = hn::Vec<D>>
HWY_INLINE void TwiceReluByPolynomial(D d, const V (&xy)[N], const V (&sx)[N], const V (&sy)[N],
                                      const V (&half_inverse)[N], V (&u)[N], V (&f)[N]) {
  using T = hn::TFromD<D>;
  constexpr bool kFloat = sizeof(T) == 4;
  constexpr double kScale = kSqrt2 * PolynomialScale<T>();
  V g[N], rest[N];
  Haversine<kNonneg>(d, xy, half_inverse, u);
  if constexpr (kFloat && kNonneg)
    PolynomialOfTwice(d, polynomials::kReluNonnegFloat, kScale, u, g);
  if constexpr (kFloat && !kNonneg) PolynomialOfTwice(d, polynomials::kReluFloat, kScale, u, g);
  if constexpr (!kFloat && kNonneg)
    PolynomialOfTwice(d, polynomials::kReluNonnegDouble, kScale, u, g);
  if constexpr (!kFloat && !kNonneg) PolynomialOfTwice(d, polynomials::kReluDouble, kScale, u, g);
  GRAMTILE_EACH(k) rest[k] = hn::MulSub(sx[k], sy[k], kNonneg ? xy[k] : hn::Abs(xy[k]));
  MultiplyBySqrt(d, u, rest);  // beside the polynomial
  GRAMTILE_EACH(k)
  f[k] = hn::MulAdd(rest[k], g[k], kNonneg ? xy[k] : hn::Max(xy[k], hn::Zero(d)));
}

// Where c ≥ 0 an error of h is one of κ, so h need not be accurate by itself, and a table in eight
// registers replaces root and polynomial: 12 operations instead of 16.
template <class T, bool kNonneg>
constexpr bool kTabled = HWY_TARGET <= HWY_AVX3 && sizeof(T) == 4 && kNonneg;

// f = xy + r h(c) (eq. 22), relu_table.hpp, for 0 ≤ xy ≤ (1 + kReluTableMargin) r.
template <int N, class D, class V = hn::Vec<D>>
HWY_INLINE void TwiceReluByTable([[maybe_unused]] D d, [[maybe_unused]] const V (&xy)[N],
                                 [[maybe_unused]] const V (&sx)[N],
                                 [[maybe_unused]] const V (&sy)[N],
                                 [[maybe_unused]] const V (&half_inverse)[N],
                                 [[maybe_unused]] V (&f)[N]) {
#if HWY_TARGET <= HWY_AVX3
  V s[N], h[N], r[N];
  __m512i piece[N];  // vpermt2ps looks at the last five bits
  GRAMTILE_EACH(k)
  s[k] = hn::NegMulAdd(xy[k], half_inverse[k], hn::Set(d, 0.5f + kReluTableShift));
  GRAMTILE_EACH(k) piece[k] = _mm512_srli_epi32(_mm512_castps_si512(s[k].raw), 21);
  const auto coefficient = [&](int power, int k) HWY_ATTR {
    const float* const row = kReluTable[power];
    return V{_mm512_permutex2var_ps(_mm512_load_ps(row), piece[k], _mm512_load_ps(row + 16))};
  };
  GRAMTILE_EACH(k) h[k] = hn::MulAdd(coefficient(3, k), s[k], coefficient(2, k));
  GRAMTILE_EACH(k) h[k] = hn::MulAdd(h[k], s[k], coefficient(1, k));
  GRAMTILE_EACH(k) h[k] = hn::MulAdd(h[k], s[k], coefficient(0, k));
  GRAMTILE_EACH(k) r[k] = hn::Mul(sx[k], sy[k]);
  GRAMTILE_EACH(k) f[k] = hn::MulAdd(r[k], h[k], xy[k]);
#endif
}

// f = twice the relu of xy; u, if it is asked for: its haversine.
template <bool kNonneg, bool kHaversines, int N, class D, class V = hn::Vec<D>>
HWY_INLINE void TwiceRelu(D d, const V (&xy)[N], const V (&sx)[N], const V (&sy)[N],
                          const V (&half_inverse)[N], V (&u)[N], V (&f)[N]) {
  if constexpr (kTabled<hn::TFromD<D>, kNonneg>) {
    if constexpr (kHaversines) Haversine<kNonneg>(d, xy, half_inverse, u);
    TwiceReluByTable(d, xy, sx, sy, half_inverse, f);
  } else {
    TwiceReluByPolynomial<kNonneg>(d, xy, sx, sy, half_inverse, u, f);
  }
}

// What the backward pass needs of twice the relu, f = xy·slope + bend/π (homogeneity):
//   slope = ∂f/∂xy = 1 − acos(c)/π,   bend = r √(1−c²) = 2π xx ∂f/∂xx = 2π yy ∂f/∂yy      (23)
// One root serves both (24): with the haversine u and v = u − u², √(1−c²) = sin θ = 2√v, and
// acos|c|/π = 2√v q(2u). Where xx·yy = 0: slope ½ and bend 0, the convention of
// docs/mathematics.md.
//
// slope: holds T, becomes T · slope = T − (T · sin θ) · q. sine: T · sin θ, so that r · sine is
// T · bend. Only the signs of `signs` count, which are those of xy.
template <bool kNonneg, int N, class D, class V = hn::Vec<D>>
HWY_INLINE void MultiplyByDerivative(D d, const V (&u)[N], [[maybe_unused]] const V (&signs)[N],
                                     V (&slope)[N], V (&sine)[N]) {
  constexpr bool kFloat = sizeof(hn::TFromD<D>) == 4;
  V q[N];
  GRAMTILE_EACH(k) sine[k] = hn::NegMulAdd(u[k], u[k], u[k]);
  TwiceRoot(d, sine, sine);
  if constexpr (kFloat && kNonneg) PolynomialOfTwice(d, polynomials::kAngleNonnegFloat, 1, u, q);
  if constexpr (kFloat && !kNonneg) PolynomialOfTwice(d, polynomials::kAngleFloat, 1, u, q);
  if constexpr (!kFloat && kNonneg) PolynomialOfTwice(d, polynomials::kAngleNonnegDouble, 1, u, q);
  if constexpr (!kFloat && !kNonneg) PolynomialOfTwice(d, polynomials::kAngleDouble, 1, u, q);
  GRAMTILE_EACH(k) sine[k] = hn::Mul(sine[k], slope[k]);
  if constexpr (kNonneg) {
    GRAMTILE_EACH(k) slope[k] = hn::NegMulAdd(sine[k], q[k], slope[k]);
  } else {
    GRAMTILE_EACH(k) q[k] = hn::Mul(sine[k], q[k]);  // acos|c|/π = 1 − acos(−|c|)/π
    GRAMTILE_EACH(k)
    slope[k] = hn::IfThenElse(hn::Lt(signs[k], hn::Zero(d)), q[k], hn::Sub(slope[k], q[k]));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
