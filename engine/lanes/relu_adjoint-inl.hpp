// Relus on the way back, as consumers of transposed window sums: in the middle, at the last relu,
// and at the first. Included once per target. Equations: docs/mathematics.md, 23 to 27.
#pragma once

#include "engine/lanes/adjoint_target-inl.hpp"
#include "engine/lanes/lane_sums-inl.hpp"
#include "engine/lanes/point_step-inl.hpp"
#include "engine/lanes/step-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A weight that adjoints can be multiplied by before they are summed up, and the sum divided by
// it. Weights near 0 are applied afterwards.
template <class T>
struct SafeWeight {
  T factor, rest;  // factor · rest is the weight
  explicit SafeWeight(double weight)
      : factor(weight > kSmallestDivisor ? static_cast<T>(weight) : T(1)),
        rest(weight > kSmallestDivisor ? T(1) : static_cast<T>(weight)) {}
};

// Source is twice the relu of a map. The adjoint of the map goes to `target`. kMap (jacobian):
// adjoint · sin θ, which r makes adjoint · bend, to `bend`. kSums (gradient): to the accumulators
// of the pack and of the row image, each without the root of its own variance, which is the same
// for all its pairs.
//
// Σ source · T = Σ (xy·slope + bend/π) · T, from the products with the weight, which are needed
// anyway. What is left, Σ xy · adjoint, does without xy where the tape holds haversines
// (complete_weights.hpp), and so does all of it with kMap; with kSums the caller has Σ bend and
// adds it.
template <bool kNonneg, Bends kBends, bool kHaversines, class D>
struct ReluAdjoint {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  static constexpr bool kAccumulates = kBends == Bends::kSums;
  static constexpr bool kUnitOnly = false, kFused = true;
  D d;
  ReluOperands<T> operands;  // its map holds haversines, or xy
  AdjointTarget<D> target;
  SafeWeight<T> weight;  // behind haversines: all in `factor`
  MapShape shape;
  T* bend;                        // [pixel][lane]
  T* row_bend;                    // [pixel], and
  bool row_bend_first;            // nothing is there yet
  T* group;                       // a group of pixels: kSums only
  mutable V slope_sum, bend_sum;  // Σ xy · adjoint, Σ bend · T

  template <int G>
  HWY_INLINE void Column(Index y, Index x, Index rows, const V (&sums)[G]) const {
    constexpr int N = HWY_MIN(G, kTogether<T>);
    const Index n = static_cast<Index>(hn::Lanes(d)), first = FirstPixel<G>(shape, y, x);
    HWY_UNROLL(4)
    for (int q = 0; q < G; q += N) {
      V a[N], map[N];
      GRAMTILE_EACH(k) a[k] = sums[q + k];
      GRAMTILE_EACH(k) {
        map[k] = hn::Load(d, operands.map + (first + q + (k < rows - q ? k : 0)) * n);
      }
      Pixels<G>(y, x, rows, q, map, a);
    }
  }
  // N pixels of a group are a whole column of it, and their bends are summed while in registers.
  template <int N>
  static constexpr bool kMerged = kAccumulates&& kMergesLanes<D>&& N == kGroupRows;

  // Those of pixels q, …, q + N − 1 of a column that are among its `rows`. xy: their haversines or
  // xy. a: T, then its product with slope and weight.
  template <int G, int N>
  HWY_INLINE void Pixels(Index y, Index x, Index rows_, int q, const V (&xy)[N], V (&a)[N]) const {
    const Index n = static_cast<Index>(hn::Lanes(d)), rows = rows_ - q;
    const Index first = FirstPixel<G>(shape, y, x) + q;
    const Index in_group = first - y / kGroupRows * kGroupRows * shape.width;
    T* const to = target.RowsAt(y, x) + q * n;
    T* const bends = group + (kMerged<N> ? x : in_group) * n;
    V u[N], sine[N];
    if constexpr (kHaversines) {
      GRAMTILE_EACH(k) u[k] = kNonneg ? xy[k] : hn::Abs(xy[k]);
    } else {
      HaversineOf(first, rows, xy, u);
    }
    GRAMTILE_EACH(k) a[k] = hn::Mul(a[k], hn::Set(d, weight.factor));
    MultiplyByDerivative<kNonneg>(d, u, xy, a, sine);
    if constexpr (!kHaversines) ApplyRest(first, rows, xy, a, sine);
    target.Put(first, rows, to, a);
    GRAMTILE_EACH(k) {
      if (k >= rows) continue;
      const Index i = first + k, at = i * n;
      if constexpr (!kAccumulates) {
        hn::Store(sine[k], d, bend + at);
        continue;
      }
      const V sx = hn::Set(d, operands.row_root[i]), sy = hn::Load(d, operands.column_root + at);
      hn::Store(hn::MulAdd(sine[k], sx, hn::Load(d, bend + at)), d, bend + at);
      sine[k] = hn::Mul(sine[k], sy);
      if (!kMerged<N>) hn::Store(sine[k], d, bends + k * n);
    }
    if constexpr (kMerged<N>) hn::Store(MergeLanes(d, sine), d, bends);
  }
  template <int N>
  HWY_INLINE void HaversineOf(Index first, Index rows, const V (&xy)[N], V (&u)[N]) const {
    V half_inverse[N];
    GRAMTILE_EACH(k) {
      const Index i = first + (k < rows ? k : 0), at = i * static_cast<Index>(hn::Lanes(d));
      half_inverse[k] = hn::Mul(hn::Set(d, operands.row_half_inverse[i]),
                                hn::Load(d, operands.column_inverse + at));
    }
    Haversine<kNonneg>(d, xy, half_inverse, u);
  }
  // The sums that ∂weight is made of, and then the rest of the weight.
  template <int N>
  HWY_INLINE void ApplyRest(Index first, Index rows, const V (&xy)[N], V (&a)[N],
                            V (&sine)[N]) const {
    GRAMTILE_EACH(k) {
      if (k < rows) slope_sum = hn::MulAdd(xy[k], a[k], slope_sum);
    }
    if (kAccumulates && weight.rest == T(1)) return;
    GRAMTILE_EACH(k) {
      const Index i = first + (k < rows ? k : 0), at = i * static_cast<Index>(hn::Lanes(d));
      const V r = hn::Mul(hn::Set(d, operands.row_root[i]), hn::Load(d, operands.column_root + at));
      if (k < rows) bend_sum = hn::MulAdd(sine[k], r, bend_sum);
    }
    if (weight.rest == T(1)) return;
    GRAMTILE_EACH(k) a[k] = hn::Mul(a[k], hn::Set(d, weight.rest));
    GRAMTILE_EACH(k) sine[k] = hn::Mul(sine[k], hn::Set(d, weight.rest));
  }
  HWY_INLINE void Rows(Index y, Index rows) const {
    FinishRows(y, rows);
    target.Rows(y, rows);
  }
  HWY_INLINE Index Split() const { return target.Split(); }
  HWY_INLINE void StartPart(Index x) { target.StartPart(x); }
  HWY_INLINE void FirstPart(Index y) const { target.next->FirstPart(y); }
  HWY_INLINE void LastPart(Index y) const {
    FinishRows(y, kGroupRows);
    target.next->LastPart(y);
  }
  HWY_INLINE void FinishRows(Index y, Index rows) const {
    const Index width = shape.width;
    if constexpr (kAccumulates) {
      const PixelRow row = pixel_row(shape, y);
      T* const sums = row_bend + y / kGroupRows * kGroupRows * width;
      if (kMerged<kTogether<T>> && rows == kGroupRows) {
        AddMergedLaneSums(d, group, width, row_bend_first, sums);
      } else if ((y + rows) % kGroupRows == 0 || y + rows == shape.height) {  // a group is there
        AddLaneSums(d, group, row.step * width, row_bend_first, sums);
      }
    }
    // Above the map: the relu's that comes next on the way back, if its map has the same size.
    const Index after = y + kRowsAhead, height = shape.height;
    const Index ahead = (after < height ? after : after - 2 * height) * width;
    PrefetchLines(operands.row_root, ahead, rows * width);
    if (!kHaversines) PrefetchLines(operands.row_half_inverse, ahead, rows * width);
    if (kAccumulates) PrefetchLines(row_bend, ahead, rows * width);
  }
  HWY_INLINE void KeepTotals(const ReluAdjoint& original) const {
    original.slope_sum = slope_sum;
    original.bend_sum = bend_sum;
    original.target.sum = target.sum;
  }
  HWY_INLINE V WeightSum() const {
    constexpr double kInversePi = 0.31830988618379067154;
    const V sum = hn::MulAdd(bend_sum, hn::Set(d, static_cast<T>(kInversePi)), slope_sum);
    return hn::Div(sum, hn::Set(d, weight.factor));
  }
};

// The step in front of the last relu forwards, and the last relu backwards, in one loop: behind it
// is one window over the whole map, so T is known, and the same for all pixels, before the forward
// pass. Neither the relu's tape nor its value is stored.
template <bool kNonneg, class D>
struct ReluTurn {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  static constexpr bool kUnitOnly = true, kFused = false;
  D d;
  Affine<D> affine;  // without an addend
  ReluAdjoint<kNonneg, Bends::kSums, true, D> adjoint;
  V value;  // T

  template <int G>
  HWY_INLINE void Column(Index y, Index x, Index rows, const V (&sums)[G]) const {
    constexpr int N = HWY_MIN(G, kTogether<T>);
    const Index first = FirstPixel<G>(adjoint.shape, y, x);
    HWY_UNROLL(4)
    for (int q = 0; q < G; q += N) {
      V xy[N], u[N], a[N];
      GRAMTILE_EACH(k) xy[k] = affine(d, sums[q + k], 0);
      adjoint.HaversineOf(first + q, rows - q, xy, u);
      if constexpr (!kNonneg) GRAMTILE_EACH(k) u[k] = hn::CopySignToAbs(u[k], xy[k]);
      GRAMTILE_EACH(k) a[k] = value;
      adjoint.template Pixels<G>(y, x, rows, q, u, a);
    }
  }
  HWY_INLINE void Rows(Index y, Index rows) const {
    Prefetch(y, rows);
    adjoint.Rows(y, rows);
  }
  HWY_INLINE Index Split() const { return adjoint.Split(); }
  HWY_INLINE void StartPart(Index x) { adjoint.StartPart(x); }
  HWY_INLINE void FirstPart(Index y) const { adjoint.FirstPart(y); }
  HWY_INLINE void LastPart(Index y) const {
    Prefetch(y, kGroupRows);
    adjoint.LastPart(y);
  }
  HWY_INLINE void Prefetch(Index y, Index rows) const {
    const Index width = adjoint.shape.width;
    adjoint.operands.PrefetchRow((y + kRowsAhead) * width, rows * width);
  }
  HWY_INLINE void KeepTotals(const ReluTurn& original) const {
    adjoint.KeepTotals(original.adjoint);
  }
};

// The first relu backwards, behind a step that reads the images and whose sums S are on the tape:
// Σ S · adjoint is that step's ∂weight, and nobody asks for the adjoint itself.
template <bool kNonneg, class D>
struct ReluEnd {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  static constexpr bool kUnitOnly = false, kFused = false;
  D d;
  Affine<D> affine;  // without an addend
  ReluAdjoint<kNonneg, Bends::kSums, true, D> adjoint;
  mutable V weight_sums[2];  // two chains of additions are shorter than one

  template <int G>
  HWY_INLINE void Column(Index y, Index x, Index rows, const V (&sums)[G]) const {
    constexpr int N = HWY_MIN(G, kTogether<T>);
    const Index n = static_cast<Index>(hn::Lanes(d));
    const Index first = FirstPixel<G>(adjoint.shape, y, x);
    HWY_UNROLL(4)
    for (int q = 0; q < G; q += N) {
      V s[N], xy[N], u[N], a[N];
      GRAMTILE_EACH(k) {
        const Index pixel = first + q + (k < rows - q ? k : 0);
        s[k] = hn::Load(d, adjoint.operands.map + pixel * n);
      }
      GRAMTILE_EACH(k) xy[k] = affine(d, s[k], 0);
      GRAMTILE_EACH(k) a[k] = sums[q + k];
      adjoint.HaversineOf(first + q, rows - q, xy, u);
      if constexpr (!kNonneg) GRAMTILE_EACH(k) u[k] = hn::CopySignToAbs(u[k], xy[k]);
      adjoint.template Pixels<G>(y, x, rows, q, u, a);
      GRAMTILE_EACH(k) {
        if (q + k < rows) weight_sums[k % 2] = hn::MulAdd(s[k], a[k], weight_sums[k % 2]);
      }
    }
  }
  HWY_INLINE void Rows(Index y, Index rows) const { adjoint.Rows(y, rows); }
  HWY_INLINE void KeepTotals(const ReluEnd& original) const {
    for (int k = 0; k < 2; ++k) original.weight_sums[k] = weight_sums[k];
    adjoint.KeepTotals(original.adjoint);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
