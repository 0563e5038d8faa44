// The relu on lanes, docs/mathematics.md, and the square root it needs. Included once per target.
//
// With r = √xx √yy, c = xy/r, u = (1 − c)/2 and f = 2·relu (the ½ is folded into the next weight):
//   f = max(xy, 0) + (r − |xy|) · √(2u) g(2u)
// √xx and 1/√xx come from the variance stack, so there is no division; products of the two images'
// maps commute, so f has the same bits whichever image is the row.
//
// u is clamped to at least kTiny instead of 0: at |c| = 1 the second term then is below 1e-15 · r ·
// 0, and an approximate reciprocal root never sees 0. Where xx·yy = 0 both maps are 0, hence f =
// max(xy, 0) = 0.
#if defined(GRAMTILE_LANES_RELU_INL_HPP_) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAMTILE_LANES_RELU_INL_HPP_
#undef GRAMTILE_LANES_RELU_INL_HPP_
#else
#define GRAMTILE_LANES_RELU_INL_HPP_
#endif

#include "engine/lanes/relu_polynomials.hpp"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class T>
inline constexpr T kTiny = sizeof(T) == 4 ? T(1e-30) : T(1e-290);

// N pixels are computed in step, here and below: chains of dependent operations are long (12 × 4
// cycles) against what a processor can look ahead, so neighbours are interleaved by hand. Two
// everywhere; kTogether where sums come four rows at a time and registers are many.
constexpr int kStep = 2;
constexpr int kTogether = HWY_TARGET <= HWY_AVX3 ? 4 : 2;
#define GRAMTILE_EACH(k) HWY_UNROLL(4) for (int k = 0; k < N; ++k)

// root = √u / PolynomialScale in two factors, for u ≥ kTiny; one of them stays apart so that the
// other products can start early. AVX-512's square root takes 12.5 cycles (float; 25 double) a
// vector, as long as all the rest together, so there: y ≈ 1/√u to 2⁻¹⁴, s = u·y, e = 1 − s·y, |e| ≤
// 2⁻¹³, and √u = s (1 + e/2 + 3e²/8 + …). Float keeps the first order, error 3/8 e² = 5.6e-9;
// double the second, its coefficients refitted on |e| ≤ 2⁻¹³: error 5/16 e³ / 4 = 1.42e-13.
template <int N, class D, class V = hn::Vec<D>>
HWY_INLINE void SquareRoot(D d, const V (&u)[N], V (&s)[N], V (&correction)[N]) {
#if HWY_TARGET <= HWY_AVX3
  V y[N];
  if constexpr (sizeof(hn::TFromD<D>) == 4) {
    GRAMTILE_EACH(k) y[k] = V{_mm512_rsqrt14_ps(u[k].raw)};
    GRAMTILE_EACH(k) s[k] = hn::Mul(u[k], y[k]);
    // s (1 + e/2) = s · (3 − s·y) / 2; the ½ is in the polynomials: PolynomialScale.
    GRAMTILE_EACH(k) correction[k] = hn::NegMulAdd(s[k], y[k], hn::Set(d, 3.0f));
  } else {
    // 5/16 e³ on |e| ≤ E is replaced by its best line: 5/16 · (3/4) E² e.
    constexpr double kE = 1.0 / 8192;
    const V first = hn::Set(d, 0.5 + 15.0 / 64 * kE * kE);
    GRAMTILE_EACH(k) y[k] = V{_mm512_rsqrt14_pd(u[k].raw)};
    GRAMTILE_EACH(k) s[k] = hn::Mul(u[k], y[k]);
    GRAMTILE_EACH(k) y[k] = hn::NegMulAdd(s[k], y[k], hn::Set(d, 1.0));
    GRAMTILE_EACH(k) correction[k] = hn::MulAdd(y[k], hn::Set(d, 0.375), first);
    GRAMTILE_EACH(k) correction[k] = hn::MulAdd(correction[k], y[k], hn::Set(d, 1.0));
  }
#else
  GRAMTILE_EACH(k) s[k] = hn::Sqrt(u[k]);
  GRAMTILE_EACH(k) correction[k] = hn::Set(d, hn::TFromD<D>(1));
#endif
}

// p ← √u · p · PolynomialScale⁻¹. Taking every second pixel's root from the divider, which works
// beside the vector ports, gained 3 % in float, at the price of bits that depend on a pixel's
// place: not taken.
template <int N, class D, class V = hn::Vec<D>>
HWY_INLINE void MultiplyBySqrt(D d, const V (&u)[N], V (&p)[N]) {
  V s[N], correction[N];
  SquareRoot(d, u, s, correction);
  if (HWY_TARGET <= HWY_AVX3) GRAMTILE_EACH(k) p[k] = hn::Mul(p[k], correction[k]);
  GRAMTILE_EACH(k) p[k] = hn::Mul(p[k], s[k]);
}

// What a polynomial that is multiplied by MultiplyBySqrt has to be scaled with.
template <class T>
constexpr double PolynomialScale() {
#if HWY_TARGET <= HWY_AVX3
  return sizeof(T) == 4 ? 0.5 : 1.0;
#else
  return 1.0;
#endif
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

constexpr double kSqrt2 = 1.41421356237309504880;

// f = twice the relu of xy. kNonneg: xy ≥ 0 is known. `half_inverse` is 1/(2r).
template <bool kNonneg, int N, class D, class V = hn::Vec<D>>
HWY_INLINE void TwiceRelu(D d, const V (&xy)[N], const V (&sx)[N], const V (&sy)[N],
                          const V (&half_inverse)[N], V (&f)[N]) {
  using T = hn::TFromD<D>;
  constexpr bool kFloat = sizeof(T) == 4;
  constexpr double kScale = kSqrt2 * PolynomialScale<T>();
  V u[N], g[N];
  GRAMTILE_EACH(k) f[k] = kNonneg ? xy[k] : hn::Abs(xy[k]);
  GRAMTILE_EACH(k) u[k] = hn::NegMulAdd(f[k], half_inverse[k], hn::Set(d, T(0.5)));
  GRAMTILE_EACH(k) u[k] = hn::Max(u[k], hn::Set(d, kTiny<T>));
  if constexpr (kFloat && kNonneg)
    PolynomialOfTwice(d, polynomials::kReluNonnegFloat, kScale, u, g);
  if constexpr (kFloat && !kNonneg) PolynomialOfTwice(d, polynomials::kReluFloat, kScale, u, g);
  if constexpr (!kFloat && kNonneg)
    PolynomialOfTwice(d, polynomials::kReluNonnegDouble, kScale, u, g);
  if constexpr (!kFloat && !kNonneg) PolynomialOfTwice(d, polynomials::kReluDouble, kScale, u, g);
  MultiplyBySqrt(d, u, g);
  GRAMTILE_EACH(k) u[k] = hn::MulSub(sx[k], sy[k], f[k]);  // r − |xy|
  GRAMTILE_EACH(k) f[k] = hn::MulAdd(u[k], g[k], kNonneg ? xy[k] : hn::Max(xy[k], hn::Zero(d)));
}

// What the backward pass needs of twice the relu, f = xy·slope + bend (homogeneity):
//   slope = ∂f/∂xy = 1 − acos(c)/π,   bend = r √(1−c²)/π = 2 xx ∂f/∂xx = 2 yy ∂f/∂yy
// Where xx·yy = 0: slope ½ and bend 0, the convention of docs/mathematics.md.
template <bool kNonneg, int N, class D, class V = hn::Vec<D>>
HWY_INLINE void TwiceReluDerivative(D d, const V (&xy)[N], const V (&sx)[N], const V (&sy)[N],
                                    const V (&half_inverse)[N], V (&slope)[N], V (&bend)[N]) {
  using T = hn::TFromD<D>;
  constexpr bool kFloat = sizeof(T) == 4;
  constexpr double kScale = kSqrt2 * PolynomialScale<T>();
  constexpr double kInversePi = 0.31830988618379067154;
  V u[N], s[N], correction[N];
  GRAMTILE_EACH(k) u[k] = kNonneg ? xy[k] : hn::Abs(xy[k]);
  GRAMTILE_EACH(k) u[k] = hn::NegMulAdd(u[k], half_inverse[k], hn::Set(d, T(0.5)));
  GRAMTILE_EACH(k) u[k] = hn::Max(u[k], hn::Set(d, kTiny<T>));
  SquareRoot(d, u, s, correction);
  if (HWY_TARGET <= HWY_AVX3) GRAMTILE_EACH(k) s[k] = hn::Mul(s[k], correction[k]);
  if constexpr (kFloat && kNonneg) {
    PolynomialOfTwice(d, polynomials::kAngleNonnegFloat, kScale, u, slope);
  }
  if constexpr (kFloat && !kNonneg)
    PolynomialOfTwice(d, polynomials::kAngleFloat, kScale, u, slope);
  if constexpr (!kFloat && kNonneg) {
    PolynomialOfTwice(d, polynomials::kAngleNonnegDouble, kScale, u, slope);
  }
  if constexpr (!kFloat && !kNonneg)
    PolynomialOfTwice(d, polynomials::kAngleDouble, kScale, u, slope);
  if constexpr (kFloat) PolynomialOfTwice(d, polynomials::kSineFloat, kScale * kInversePi, u, bend);
  if constexpr (!kFloat)
    PolynomialOfTwice(d, polynomials::kSineDouble, kScale * kInversePi, u, bend);
  const V one = hn::Set(d, T(1));
  if constexpr (kNonneg) {
    GRAMTILE_EACH(k) slope[k] = hn::NegMulAdd(s[k], slope[k], one);
  } else {
    GRAMTILE_EACH(k) slope[k] = hn::Mul(s[k], slope[k]);  // acos|c|/π = 1 − acos(−|c|)/π
    GRAMTILE_EACH(k)
    slope[k] = hn::IfThenElse(hn::Lt(xy[k], hn::Zero(d)), slope[k], hn::Sub(one, slope[k]));
  }
  GRAMTILE_EACH(k) s[k] = hn::Mul(s[k], hn::Mul(sx[k], sy[k]));
  GRAMTILE_EACH(k) bend[k] = hn::Mul(s[k], bend[k]);
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
#endif
