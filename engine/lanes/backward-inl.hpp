// The lane program run backwards: gradients of packs of pairs, jacobians of packs of pairs, and the
// chain of one image's variances. Included once per target. The equations stand in reverse_step.hpp
// and docs/mathematics.md.
#if defined(GRAMTILE_LANES_BACKWARD_INL_HPP_) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAMTILE_LANES_BACKWARD_INL_HPP_
#undef GRAMTILE_LANES_BACKWARD_INL_HPP_
#else
#define GRAMTILE_LANES_BACKWARD_INL_HPP_
#endif

#include "engine/lanes/lane_sums-inl.hpp"
#include "engine/lanes/next_sums-inl.hpp"
#include "engine/lanes/transpose-inl.hpp"
#include "engine/lanes/variances-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Where the adjoint of a source goes: stored the first time, added afterwards.
template <class D>
struct AdjointMap {
  using T = hn::TFromD<D>;
  T* map;
  bool first;

  HWY_INLINE void Put(D d, Index at, hn::Vec<D> value) const {
    hn::Store(first ? value : hn::Add(value, hn::Load(d, map + at)), d, map + at);
  }
};

// Where the adjoint that a step makes goes.
enum class AdjointWay {
  kRows,        // into rows of the step that runs next, which nobody else reads
  kRowsAndMap,  // the same, with what its map holds already, or it stays in its map, too
  kMap,
  kSum,  // only its sum is asked for
};

template <class D>
struct AdjointTarget {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  D d;
  AdjointMap<D> adjoint;
  AdjointWay way;
  const NextSums<D>* next;  // or nullptr
  T* origin;                // its Origin of the part at hand
  bool stays;               // kRowsAndMap: it goes to its map, too
  mutable V sum;            // Σ of what does not go to the map alone

  // Where pixels of column x from row y on go in the buffer of `next`.
  HWY_INLINE T* RowsAt(Index y, Index x) const { return NextSums<D>::At(origin, y, x); }
  // Pixels first, first + 1, … of a column, as many as its `rows`. to: RowsAt of the first.
  template <int N>
  HWY_INLINE void Put(Index first, Index rows, T* to, const V (&values)[N]) const {
    const Index n = static_cast<Index>(hn::Lanes(d));
    if (HWY_LIKELY(way == AdjointWay::kRows)) {
      GRAMTILE_EACH(k) {
        if (k < rows) hn::Store(values[k], d, to + k * n);
      }
      return AddToSum(rows, values);
    }
    V all[N];
    GRAMTILE_EACH(k) all[k] = values[k];
    GRAMTILE_EACH(k) {
      T* const map = adjoint.map + (first + k) * n;
      if (k >= rows) continue;
      if (way == AdjointWay::kMap) adjoint.Put(d, (first + k) * n, all[k]);
      if (way != AdjointWay::kRowsAndMap) continue;
      if (!adjoint.first) all[k] = hn::Add(all[k], hn::Load(d, map));
      if (stays) hn::Store(all[k], d, map);
      hn::Store(all[k], d, to + k * n);
    }
    if (way != AdjointWay::kMap) AddToSum(rows, all);
  }
  template <int N>
  HWY_INLINE void AddToSum(Index rows, const V (&values)[N]) const {
    if constexpr (N == 4) {
      if (rows >= N) {
        const V low = hn::Add(values[0], values[1]), high = hn::Add(values[2], values[3]);
        sum = hn::Add(sum, hn::Add(low, high));
        return;
      }
    }
    GRAMTILE_EACH(k) {
      if (k < rows) sum = hn::Add(sum, values[k]);
    }
  }
  HWY_INLINE void Rows(Index y, Index rows) const {
    if (next != nullptr) next->Rows(y, rows);
  }
  HWY_INLINE Index Split() const { return next != nullptr ? next->Split() : 0; }
  HWY_INLINE void StartPart(Index x) {
    if (next != nullptr) origin = next->Origin(x);
  }
};

// The step after `step` takes the adjoint that `step` makes summed along x.
HWY_INLINE bool SumsForNext(const ReverseStep* next) { return next != nullptr && next->sums_ready; }

// The sums of the step after `step`, if it takes any.
template <class D>
HWY_INLINE NextSums<D> NextSumsOf(D d, const ReverseSteps& program, const ReverseStep& step,
                                  const ReverseStep* next, hn::TFromD<D>* scratch) {
  const Index row = program.forward.row_vectors;
  const Index group = kGroupRows * row * static_cast<Index>(hn::Lanes(d));
  const NextSums<D> sums{d, TransposedJobOf(d, SumsForNext(next) ? *next : step, row, scratch),
                         scratch + group};
  if (SumsForNext(next)) sums.Start();
  return sums;
}

template <class D>
HWY_INLINE AdjointTarget<D> TargetOf(D d, const ReverseStep& step, const ReverseStep* next,
                                     Index stride, hn::TFromD<D>* adjoints,
                                     const NextSums<D>& sums) {
  AdjointTarget<D> target{
      d,
      {step.source_adjoint == kNoSlot ? nullptr : adjoints + step.source_adjoint * stride,
       step.source_first},
      step.source_adjoint == kNoSlot ? AdjointWay::kSum : AdjointWay::kMap,
      nullptr,
      nullptr,
      false,
      hn::Zero(d)};
  if (!SumsForNext(next)) return target;
  target.next = &sums;
  target.origin = sums.Origin(0);
  target.stays = next->adjoint_stays;
  const bool rows_alone = step.source_first && !target.stays;
  target.way = rows_alone ? AdjointWay::kRows : AdjointWay::kRowsAndMap;
  return target;
}

// Source is a plain map or the images' product (`Source::At`): weight · T, and Σ source · T.
template <class D, class Source>
struct PlainAdjoint {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  D d;
  Source source;
  AdjointMap<D> adjoint;  // map == nullptr for images: nobody asks
  T weight;
  MapShape shape;
  mutable V weight_sums[2];  // two chains of additions are shorter than one

  template <int G>
  HWY_INLINE void Column(Index y, Index x, Index rows, const V (&sums)[G]) const {
    const Index n = static_cast<Index>(hn::Lanes(d)), first = FirstPixel<G>(shape, y, x);
    HWY_UNROLL(4)
    for (int k = 0; k < G; ++k) {
      if (k >= rows) continue;
      const Index pixel = first + k;
      weight_sums[k % 2] = hn::MulAdd(source.At(pixel), sums[k], weight_sums[k % 2]);
      if (adjoint.map != nullptr) {
        adjoint.Put(d, pixel * n, hn::Mul(sums[k], hn::Set(d, weight)));
      }
    }
  }
  HWY_INLINE void Rows(Index, Index) const {}
  HWY_INLINE void KeepTotals(const PlainAdjoint& original) const {
    for (int k = 0; k < 2; ++k) original.weight_sums[k] = weight_sums[k];
  }
};

// A weight that adjoints can be multiplied by before they are summed up, and the sum divided by
// it. Weights near 0 are applied afterwards.
template <class T>
struct SafeWeight {
  T factor, rest;  // factor · rest is the weight
  explicit SafeWeight(double weight)
      : factor(weight > kSmallestDivisor ? static_cast<T>(weight) : T(1)),
        rest(weight > kSmallestDivisor ? T(1) : static_cast<T>(weight)) {}
};

// What a backward pass leaves of a relu's bend: one map, or its sums over pairs.
enum class Bends { kMap, kSums };

// Source is twice the relu of a map. The adjoint of the map goes to `target`. kMap (jacobian):
// adjoint · sin θ, which r makes adjoint · bend, to `bend`. kSums (gradient): to the accumulators
// of the pack and of the row image, each without the root of its own variance, which is the same
// for all its pairs.
//
// Σ source · T = Σ (xy·slope + bend/π) · T, from the products with the weight, which are needed
// anyway. What is left, Σ xy · adjoint, does without xy where the tape holds haversines
// (weight_sums.hpp), and so does all of it with kMap; with kSums the caller has Σ bend and adds it.
template <bool kNonneg, Bends kBends, bool kHaversines, class D>
struct ReluAdjoint {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  static constexpr bool kAccumulates = kBends == Bends::kSums;
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

template <class D>
HWY_INLINE AdjointRows<D> OutputAdjoint(D d, const ReverseStep& step, Index stride,
                                        hn::TFromD<D>* adjoints, const hn::TFromD<D>* addend) {
  using T = hn::TFromD<D>;
  return {d,
          adjoints + step.output_adjoint * stride,
          addend,
          step.addend_adjoint == kNoSlot ? nullptr : adjoints + step.addend_adjoint * stride,
          step.addend_first,
          static_cast<T>(step.forward.addend_weight),
          hn::Zero(d),
          hn::Zero(d)};
}

// The raw derivatives of one step by one pack, per lane.
template <class D>
struct RawSums {
  hn::Vec<D> weight, bias, addend;
};

// The reverse of one step on the pair's map. `next` is the step that runs after it. `bias`: Σ of
// the output's adjoint where the step before has made it; then of the next step's.
template <Bends kBends, class D>
class ReversePairStep {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;

 public:
  struct Buffers {
    PackOperands<T> pack;
    T *adjoints, *group, *bend, *row_bend;
    bool row_bend_first;
  };

  ReversePairStep(D d, const ReverseSteps& program, const Buffers& buffers)
      : d_(d), program_(program), b_(buffers) {}

  // The last step, from the step in front of it on: ReluTurn.
  HWY_INLINE RawSums<D> Turn(const ReverseStep& step, const ReverseStep& next, V seeds,
                             V& bias) const {
    step.forward.source == RowSource::kReluNonneg ? Turn<true>(step, next, seeds, bias)
                                                  : Turn<false>(step, next, seeds, bias);
    return {hn::Zero(d_), seeds, hn::Zero(d_)};
  }

  // The first relu: ReluEnd. Leaves the raw derivatives of `next` in `last`.
  HWY_INLINE RawSums<D> End(const ReverseStep& step, const ReverseStep& next, V bias,
                            RawSums<D>& last) const {
    const Index stride = program_.forward.slot_stride * static_cast<Index>(hn::Lanes(d_));
    const AdjointRows<D> rows =
        OutputAdjoint(d_, step, stride, b_.adjoints, static_cast<const T*>(nullptr));
    last = step.forward.source == RowSource::kReluNonneg ? End<true>(step, next, rows)
                                                         : End<false>(step, next, rows);
    return {hn::Zero(d_), step.sums_ready ? bias : rows.sum, hn::Zero(d_)};
  }

  HWY_INLINE RawSums<D> Run(const ReverseStep& step, const ReverseStep* next, V& bias) const {
    const Index n = static_cast<Index>(hn::Lanes(d_));
    const LaneSteps& forward = program_.forward;
    const LaneStep& f = step.forward;
    const Index stride = forward.slot_stride * n;
    const T* addend = f.addend_derivative ? b_.pack.slots + f.addend_slot * stride : nullptr;
    const AdjointRows<D> rows = OutputAdjoint(d_, step, stride, b_.adjoints, addend);
    const V bias_before = bias;
    V weight_sum;
    if (f.source == RowSource::kImages) {
      weight_sum = Plain(step, rows, ImageSource(d_, forward, b_.pack));
    } else if (f.source == RowSource::kMap) {
      const MapRows<D> map{d_, b_.pack.slots + f.input_slot * stride};
      weight_sum = Plain(step, rows, map);
    } else if (f.source == RowSource::kReluNonneg) {
      weight_sum = Relu<true>(step, next, rows, bias);
    } else {
      weight_sum = Relu<false>(step, next, rows, bias);
    }
    return {weight_sum, step.sums_ready ? bias_before : rows.sum, rows.addend_sum};
  }

 private:
  template <class Source>
  HWY_INLINE V Plain(const ReverseStep& step, const AdjointRows<D>& rows,
                     const Source& source) const {
    const Index stride = program_.forward.slot_stride * static_cast<Index>(hn::Lanes(d_));
    const PlainAdjoint<D, Source> consumer{
        d_,
        source,
        {step.source_adjoint == kNoSlot ? nullptr : b_.adjoints + step.source_adjoint * stride,
         step.source_first},
        static_cast<T>(step.forward.weight),
        step.forward.input,
        {hn::Zero(d_), hn::Zero(d_)}};
    Transposed(d_, step, program_.forward.row_vectors, b_.pack.scratch, rows, consumer);
    return hn::Add(consumer.weight_sums[0], consumer.weight_sums[1]);
  }

  template <bool kNonneg>
  HWY_INLINE V Relu(const ReverseStep& step, const ReverseStep* next, const AdjointRows<D>& rows,
                    V& bias) const {
    return step.from_haversines ? Relu<kNonneg, true>(step, next, rows, bias)
                                : Relu<kNonneg, false>(step, next, rows, bias);
  }
  template <bool kNonneg, bool kHaversines>
  HWY_INLINE V Relu(const ReverseStep& step, const ReverseStep* next, const AdjointRows<D>& rows,
                    V& bias) const {
    const NextSums<D> sums = NextSumsOf(d_, program_, step, next, b_.pack.scratch);
    const auto consumer = AdjointOf<kNonneg, kHaversines>(step, next, sums);
    Transposed(d_, step, program_.forward.row_vectors, b_.pack.scratch, rows, consumer);
    bias = consumer.target.sum;
    return consumer.WeightSum();
  }
  template <bool kNonneg, bool kHaversines>
  HWY_INLINE ReluAdjoint<kNonneg, kBends, kHaversines, D> AdjointOf(const ReverseStep& step,
                                                                    const ReverseStep* next,
                                                                    const NextSums<D>& sums) const {
    const Index stride = program_.forward.slot_stride * static_cast<Index>(hn::Lanes(d_));
    return {d_,
            ReluSource(d_, program_.forward, step.forward, b_.pack),
            TargetOf(d_, step, next, stride, b_.adjoints, sums),
            SafeWeight<T>(step.forward.weight),
            step.forward.input,
            b_.bend,
            b_.row_bend,
            b_.row_bend_first,
            b_.group,
            hn::Zero(d_),
            hn::Zero(d_)};
  }

  template <bool kNonneg>
  HWY_NOINLINE RawSums<D> End(const ReverseStep& step, const ReverseStep& next,
                              const AdjointRows<D>& rows) const {
    const NextSums<D> none = NextSumsOf(d_, program_, step, nullptr, b_.pack.scratch);
    auto adjoint = AdjointOf<kNonneg, true>(step, nullptr, none);
    adjoint.target.way = AdjointWay::kSum;
    const ReluEnd<kNonneg, D> consumer{
        d_, AffineOf(next.forward), adjoint, {hn::Zero(d_), hn::Zero(d_)}};
    Transposed(d_, step, program_.forward.row_vectors, b_.pack.scratch, rows, consumer);
    return {hn::Add(consumer.weight_sums[0], consumer.weight_sums[1]), consumer.adjoint.target.sum,
            hn::Zero(d_)};
  }

  // Of a step without an addend.
  HWY_INLINE Affine<D> AffineOf(const LaneStep& step) const {
    return {nullptr, static_cast<T>(step.weight), static_cast<T>(step.bias), T(0)};
  }

  template <bool kNonneg>
  HWY_NOINLINE void Turn(const ReverseStep& step, const ReverseStep& next, V seeds, V& bias) const {
    const NextSums<D> sums = NextSumsOf(d_, program_, step, &next, b_.pack.scratch);
    const LaneStep& writer = next.forward;
    const ReluTurn<kNonneg, D> consumer{d_, AffineOf(writer),
                                        AdjointOf<kNonneg, true>(step, &next, sums), seeds};
    RunStepFromSource(d_, program_.forward, writer, b_.pack, consumer);
    bias = consumer.adjoint.target.sum;
  }

  D d_;
  const ReverseSteps& program_;
  Buffers b_;
};

template <class D>
void RunGradient(D d, const ReverseSteps& program, const GradientOperands<hn::TFromD<D>>& o) {
  const Index n = static_cast<Index>(hn::Lanes(d)), stride = program.forward.slot_stride * n;
  hn::Store(hn::Load(d, o.seeds), d, o.adjoints + program.seed_adjoint * stride);
  const auto add = [&](Index i, const RawSums<D>& sums) HWY_ATTR {
    double* raw = o.raw + i * kNumRaw;
    raw[kRawWeight] += LaneSum(d, sums.weight);
    raw[kRawBias] += LaneSum(d, sums.bias);
    raw[kRawAddend] += LaneSum(d, sums.addend);
  };
  hn::Vec<D> bias = hn::Zero(d);
  for (Index i = 0; i < program.num_steps; ++i) {
    const ReverseStep& step = program.steps[i];
    const ReversePairStep<Bends::kSums, D> reverse(
        d, program,
        {o.pack, o.adjoints, o.group, o.column_bend + step.forward.map_offset * n,
         o.row_bend + step.forward.map_offset, o.row_bend_first});
    const ReverseStep* const next = i + 1 < program.num_steps ? &program.steps[i + 1] : nullptr;
    if (i == 0 && program.turns) {
      add(i, reverse.Turn(step, *next, hn::Load(d, o.seeds), bias));
    } else if (step.ends && program.forward.keeps_sums) {
      RawSums<D> last;
      add(i, reverse.End(step, *next, bias, last));
      add(++i, last);
    } else {
      add(i, reverse.Run(step, next, bias));
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
#endif
