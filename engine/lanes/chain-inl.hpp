// The chain of variances read backwards: xx depends on the parameters on its own, through sums of
// windows and diagonals of activations, and every relu of a pair adds adjoint · bend / (2π xx) to
// it (docs/mathematics.md, 25). Used per pair for jacobians (the row's and the column's chain), and
// per image, once a tile, for gradients. Included once per target.
#pragma once

#include "engine/lanes/backward-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Where xx of a source comes from: Xx(pixel); and AddBend(pixel, b, a), a with what the pairs'
// bends b add to the adjoint of xx: adjoint · bend / (2π xx), 0 where xx = 0.
constexpr double kInverseTwoPi = 0.15915494309189533577;

// The variances of one pair's two images behind a relu, as a pair sees them. Bends are adjoint ·
// sin θ: times r / (2π xx) = √yy / (2π √xx).
template <class D>
struct RowRoots {
  using T = hn::TFromD<D>;
  D d;
  ReluOperands<T> operands;  // its map is not used
  HWY_INLINE hn::Vec<D> Xx(Index i) const {
    return hn::Set(d, operands.row_root[i] * operands.row_root[i]);
  }
  HWY_INLINE hn::Vec<D> AddBend(Index i, hn::Vec<D> b, hn::Vec<D> a) const {
    const T factor = static_cast<T>(2 * kInverseTwoPi) * operands.row_half_inverse[i];
    const auto sy = hn::Load(d, operands.column_root + i * static_cast<Index>(hn::Lanes(d)));
    return hn::MulAdd(hn::Mul(b, sy), hn::Set(d, factor), a);
  }
};

template <class D>
struct ColumnRoots {
  using T = hn::TFromD<D>;
  D d;
  ReluOperands<T> operands;
  HWY_INLINE hn::Vec<D> Xx(Index i) const {
    const auto s = hn::Load(d, operands.column_root + i * static_cast<Index>(hn::Lanes(d)));
    return hn::Mul(s, s);
  }
  HWY_INLINE hn::Vec<D> AddBend(Index i, hn::Vec<D> b, hn::Vec<D> a) const {
    const T factor = static_cast<T>(kInverseTwoPi) * operands.row_root[i];
    const auto inverse =
        hn::Load(d, operands.column_inverse + i * static_cast<Index>(hn::Lanes(d)));
    return hn::MulAdd(hn::Mul(b, inverse), hn::Set(d, factor), a);
  }
};

// The variances of a pack of images by themselves behind a relu. Bends are sums over their pairs of
// adjoint · bend / √xx.
template <class D>
struct ImageRoots {
  using T = hn::TFromD<D>;
  D d;
  const T *root, *inverse;
  HWY_INLINE hn::Vec<D> Xx(Index i) const {
    const auto s = hn::Load(d, root + i * static_cast<Index>(hn::Lanes(d)));
    return hn::Mul(s, s);
  }
  HWY_INLINE hn::Vec<D> AddBend(Index i, hn::Vec<D> b, hn::Vec<D> a) const {
    const auto factor = hn::Mul(hn::Load(d, inverse + i * static_cast<Index>(hn::Lanes(d))),
                                hn::Set(d, static_cast<T>(kInverseTwoPi)));
    return hn::MulAdd(b, factor, a);
  }
};

// A plain map of the row image, from the extended variance stack.
template <class D>
struct RowMap {
  D d;
  const hn::TFromD<D>* map;
  HWY_INLINE hn::Vec<D> Xx(Index i) const { return hn::Set(d, map[i]); }
  HWY_INLINE hn::Vec<D> AddBend(Index, hn::Vec<D>, hn::Vec<D> a) const { return a; }
};

// A plain map of the pack.
template <class D>
struct VectorMap {
  D d;
  const hn::TFromD<D>* map;
  HWY_INLINE hn::Vec<D> Xx(Index i) const {
    return hn::Load(d, map + i * static_cast<Index>(hn::Lanes(d)));
  }
  HWY_INLINE hn::Vec<D> AddBend(Index, hn::Vec<D>, hn::Vec<D> a) const { return a; }
};

// mean over channels of x², of the row image or of the pack.
template <class D, bool kRow>
struct SquaredImage {
  using T = hn::TFromD<D>;
  D d;
  const T* images;
  Index num_pixels, channels;
  HWY_INLINE hn::Vec<D> Xx(Index pixel) const {
    const Index n = static_cast<Index>(hn::Lanes(d));
    auto sum = hn::Zero(d);
    for (Index c = 0; c < channels; ++c) {
      const Index i = c * num_pixels + pixel;
      const auto x = kRow ? hn::Set(d, images[i]) : hn::Load(d, images + i * n);
      sum = hn::MulAdd(x, x, sum);
    }
    return hn::Mul(sum, hn::Set(d, T(1) / static_cast<T>(channels)));
  }
  HWY_INLINE hn::Vec<D> AddBend(Index, hn::Vec<D>, hn::Vec<D> a) const { return a; }
};

// weight · T (+ bend / (2π xx)) to the adjoint of xx, and (kWeightSum) Σ xx · T.
template <bool kWeightSum, class D, class Variance>
struct ChainAdjoint {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  static constexpr bool kUnitOnly = false;
  // The first step, and images by themselves, are a small part of the chains.
  static constexpr bool kFused = !std::is_same_v<Variance, SquaredImage<D, true>> &&
                                 !std::is_same_v<Variance, SquaredImage<D, false>> &&
                                 !std::is_same_v<Variance, ImageRoots<D>>;
  D d;
  Variance variance;
  AdjointTarget<D> target;
  const T* bend;  // [pixel][lane], or nullptr
  T weight;
  MapShape shape;
  mutable V weight_sum;

  template <int G>
  HWY_INLINE void Column(Index y, Index x, Index rows, const V (&sums)[G]) const {
    const Index n = static_cast<Index>(hn::Lanes(d)), first = FirstPixel<G>(shape, y, x);
    V a[G];
    HWY_UNROLL(4)
    for (int k = 0; k < G; ++k) {
      const Index pixel = first + (k < rows ? k : 0);
      if (kWeightSum && k < rows) {
        weight_sum = hn::MulAdd(variance.Xx(pixel), sums[k], weight_sum);
      }
      a[k] = hn::Mul(sums[k], hn::Set(d, weight));
      if (bend != nullptr) a[k] = variance.AddBend(pixel, hn::Load(d, bend + pixel * n), a[k]);
    }
    target.Put(first, rows, target.RowsAt(y, x), a);
  }
  HWY_INLINE void Rows(Index y, Index rows) const { target.Rows(y, rows); }
  HWY_INLINE Index Split() const { return target.Split(); }
  HWY_INLINE void StartPart(Index x) { target.StartPart(x); }
  HWY_INLINE void FirstPart(Index y) const { target.next->FirstPart(y); }
  HWY_INLINE void LastPart(Index y) const { target.next->LastPart(y); }
  HWY_INLINE void KeepTotals(const ChainAdjoint& original) const {
    original.weight_sum = weight_sum;
    original.target.sum = target.sum;
  }
};

// The chain of variances of one side: of the row image, of the column images, or of images by
// themselves.
template <class D>
struct ChainBuffers {
  using T = hn::TFromD<D>;
  T *adjoints, *scratch;
  T* raw;  // [kNumRaw][lane] of the step: added to
};

// One step of one chain, and `next`, the one after it. `addend`: xx of the addend where its weight
// is differentiated, as a Variance. `bend` of the step at hand, or nullptr. `bias` as for
// ReversePairStep.
template <bool kWeightSum, class D, class Variance, class Addend>
HWY_INLINE void ReverseChainStep(D d, const ReverseSteps& program, const ReverseStep& step,
                                 const ReverseStep* next, const Variance& variance,
                                 const Addend& addend, const hn::TFromD<D>* bend,
                                 const ChainBuffers<D>& buffers, hn::Vec<D>& bias) {
  using T = hn::TFromD<D>;
  const Index n = static_cast<Index>(hn::Lanes(d)), stride = program.forward.slot_stride * n;
  auto addend_sum = hn::Zero(d);
  if (step.forward.addend_derivative) {
    const T* a = buffers.adjoints + step.output_adjoint * stride;
    for (Index i = 0; i < step.forward.output.num_pixels(); ++i) {
      addend_sum = hn::MulAdd(hn::Load(d, a + i * n), addend.Xx(i), addend_sum);
    }
  }
  const AdjointRows<D> rows = OutputAdjoint(d, step, stride, buffers.adjoints, nullptr);
  const NextRows<D> sums = NextRowsOf(d, program, step, next, buffers.scratch);
  const ChainAdjoint<kWeightSum, D, Variance> consumer{
      .d = d,
      .variance = variance,
      .target = TargetOf(d, step, next, stride, buffers.adjoints, sums),
      .bend = bend,
      .weight = static_cast<T>(step.forward.weight),
      .shape = step.forward.input,
      .weight_sum = hn::Zero(d)};
  Transposed(d, step, program.forward.row_vectors, buffers.scratch, rows, ConsumerOf(d, consumer));
  const auto add = [&](int kind, hn::Vec<D> v) HWY_ATTR {
    hn::Store(hn::Add(v, hn::Load(d, buffers.raw + kind * n)), d, buffers.raw + kind * n);
  };
  add(kRawWeight, consumer.weight_sum);
  add(kRawBias, step.sums_ready ? bias : rows.sum);
  add(kRawAddend, addend_sum);
  bias = consumer.target.sum;
}

// Whose chain it is: where the variances of one side stand, as Variances of ReverseChainStep.
//
// A pair's row image (kRow) or its column images. Their own derivatives by weights behind
// haversines follow from those of the step before (complete_weights.hpp).
template <bool kRow, class D>
struct PairSide {
  using T = hn::TFromD<D>;
  using Map = std::conditional_t<kRow, RowMap<D>, VectorMap<D>>;
  using Roots = std::conditional_t<kRow, RowRoots<D>, ColumnRoots<D>>;
  D d;
  const LaneSteps& forward;
  const PackOperands<T>& pack;
  const T* bend;  // of the step at hand

  static constexpr bool kCompletesWeights = true;  // CompleteWeightSums
  HWY_INLINE const T* Values() const { return kRow ? pack.row : pack.pack; }
  HWY_INLINE SquaredImage<D, kRow> Image() const {
    return {d, Values(), forward.num_pixels, forward.channels};
  }
  HWY_INLINE Map ExtraMap(Index offset) const {
    return {d, Values() + (values_per_example(forward) - forward.num_extra_pixels + offset) *
                              (kRow ? 1 : static_cast<Index>(hn::Lanes(d)))};
  }
  HWY_INLINE Roots RootsOf(const LaneStep& step) const {
    return {d, ReluSource(d, forward, step, pack)};
  }
  HWY_INLINE const T* BendOf(const LaneStep&) const { return bend; }
  HWY_INLINE ChainSide<T> PointOf(const LaneStep& step) const {
    const PairStack<T> stack = PairStackOf(d, forward, step, pack);
    return {kRow ? stack.row : stack.pack, kRow, bend, kRow ? stack.pack.first : stack.row.first};
  }
};

// A pack of images by themselves.
template <class D>
struct ImageSide {
  using T = hn::TFromD<D>;
  D d;
  const LaneSteps& forward;
  const T* pack;
  const T* bends;  // [num_map_pixels][lane], or nullptr

  static constexpr bool kCompletesWeights = false;  // sums them all
  HWY_INLINE const T* At(Index value) const {
    return pack + value * static_cast<Index>(hn::Lanes(d));
  }
  HWY_INLINE const T* First(const LaneStep& step) const {
    return At(forward.channels * forward.num_pixels + step.map_offset);
  }
  HWY_INLINE const T* Second(const LaneStep& step) const {
    return At(forward.channels * forward.num_pixels + forward.num_map_pixels + step.map_offset);
  }
  HWY_INLINE SquaredImage<D, false> Image() const {
    return {d, pack, forward.num_pixels, forward.channels};
  }
  HWY_INLINE VectorMap<D> ExtraMap(Index offset) const {
    return {d, At(values_per_example(forward) - forward.num_extra_pixels + offset)};
  }
  HWY_INLINE ImageRoots<D> RootsOf(const LaneStep& step) const {
    return {d, First(step), Second(step)};
  }
  HWY_INLINE const T* BendOf(const LaneStep& step) const {
    return bends == nullptr ? nullptr : bends + step.map_offset * static_cast<Index>(hn::Lanes(d));
  }
  HWY_INLINE ChainSide<T> PointOf(const LaneStep& step) const {
    return {{First(step), Second(step)}, false, BendOf(step), nullptr};
  }
};

// One step of the chain of one side, and `next`, the one after it.
template <class D, class Side>
void ReverseSideStep(D d, const ReverseSteps& program, const ReverseStep& step,
                     const ReverseStep* next, const Side& side, const ChainBuffers<D>& buffers,
                     hn::Vec<D>& bias) {
  const LaneStep& f = step.forward;
  if (f.source == RowSource::kPoint) {
    return ReversePointChain(d, program, step, side.PointOf(f), buffers.adjoints);
  }
  const auto run = [&](auto weight_sum, const auto& variance, const hn::TFromD<D>* bend) HWY_ATTR {
    ReverseChainStep<decltype(weight_sum)::value>(
        d, program, step, next, variance, side.ExtraMap(step.addend_variance), bend, buffers, bias);
  };
  if (f.source == RowSource::kImages) return run(std::true_type(), side.Image(), nullptr);
  if (!reads_relu(f)) {
    return run(std::true_type(), side.ExtraMap(step.source_variance), nullptr);
  }
  if constexpr (Side::kCompletesWeights) {
    if (step.from_haversines) return run(std::false_type(), side.RootsOf(f), side.BendOf(f));
  }
  run(std::true_type(), side.RootsOf(f), side.BendOf(f));
}

// ∂weight of steps behind haversines, of every lane: complete_weights.hpp.
template <class D>
HWY_INLINE void CompleteWeightSums(D d, const ReverseSteps& program, hn::TFromD<D>* raw) {
  using T = hn::TFromD<D>;
  const Index n = static_cast<Index>(hn::Lanes(d));
  for (Index i = program.num_steps - 1; i >= 0; --i) {  // first forward step first
    const ReverseStep& step = program.steps[i];
    if (!step.from_haversines) continue;
    const LaneStep& writer = program.steps[i + 1].forward;
    T* const own = raw + i * kNumRaw * n;
    const T* const from = own + kNumRaw * n;
    const auto weights =
        hn::Mul(hn::Set(d, static_cast<T>(writer.weight)), hn::Load(d, from + kRawWeight * n));
    const auto sum = hn::MulAdd(hn::Set(d, static_cast<T>(writer.bias)),
                                hn::Load(d, from + kRawBias * n), weights);
    const auto weight = hn::Set(d, static_cast<T>(step.forward.weight));
    hn::Store(hn::Div(sum, weight), d, own + kRawWeight * n);
  }
}

template <class D>
void RunJacobian(D d, const ReverseSteps& program, const JacobianOperands<hn::TFromD<D>>& o) {
  using T = hn::TFromD<D>;
  const ReversePairStep<Bends::kMap, D> pair(d, program,
                                             {o.pack, o.adjoints, nullptr, o.bend, nullptr, false});
  const Index n = static_cast<Index>(hn::Lanes(d));
  const Index seed = program.seed_adjoint * program.forward.slot_stride * n;
  T* const adjoint_sets[] = {o.adjoints, o.row_adjoints, o.column_adjoints};
  T* const scratches[] = {o.pack.scratch, o.row_scratch, o.column_scratch};
  for (T* maps : adjoint_sets) PoisonMaps(d, program.forward, maps, program.num_adjoints);
  for (T* scratch : scratches) ZeroRow(d, program.forward, scratch);
  hn::Store(hn::Set(d, T(1)), d, o.adjoints + seed);
  hn::Store(hn::Zero(d), d, o.row_adjoints + seed);
  hn::Store(hn::Zero(d), d, o.column_adjoints + seed);
  hn::Vec<D> bias = hn::Zero(d), row_bias = hn::Zero(d), column_bias = hn::Zero(d);
  for (Index i = 0; i < program.num_steps; ++i) {
    const ReverseStep& step = program.steps[i];
    const ReverseStep* const next = i + 1 < program.num_steps ? &program.steps[i + 1] : nullptr;
    T* const raw = o.raw + i * kNumRaw * n;
    for (T* scratch : scratches) PoisonScratch(d, program.forward, scratch, SumsFoundBy(step));
    PoisonMaps(d, program.forward, o.bend, 1);
    const StepDerivatives<D> sums = pair.Run(step, next, bias);
    hn::Store(sums.weight, d, raw + kRawWeight * n);
    hn::Store(sums.bias, d, raw + kRawBias * n);
    hn::Store(sums.addend, d, raw + kRawAddend * n);
    ReverseSideStep(d, program, step, next, PairSide<true, D>{d, program.forward, o.pack, o.bend},
                    {o.row_adjoints, o.row_scratch, raw}, row_bias);
    ReverseSideStep(d, program, step, next, PairSide<false, D>{d, program.forward, o.pack, o.bend},
                    {o.column_adjoints, o.column_scratch, raw}, column_bias);
  }
  CompleteWeightSums(d, program, o.raw);
}

// The chain of a pack of images. It needs no tape but their variance stacks.
template <class D>
void RunChain(D d, const ReverseSteps& program, const ChainOperands<hn::TFromD<D>>& o) {
  using T = hn::TFromD<D>;
  const LaneSteps& f = program.forward;
  const Index n = static_cast<Index>(hn::Lanes(d)), stride = f.slot_stride * n;
  const ImageSide<D> side{d, f, o.pack, o.bend};
  PoisonMaps(d, f, o.adjoints, program.num_adjoints);
  ZeroRow(d, f, o.scratch);
  hn::Store(hn::Load(d, o.seeds), d, o.adjoints + program.seed_adjoint * stride);
  hn::Vec<D> bias = hn::Zero(d);
  for (Index i = 0; i < program.num_steps; ++i) {
    const ReverseStep& step = program.steps[i];
    const ReverseStep* const next = i + 1 < program.num_steps ? &program.steps[i + 1] : nullptr;
    T* const raw = o.raw + i * kNumRaw * n;
    PoisonScratch(d, f, o.scratch, SumsFoundBy(step));
    for (int kind = 0; kind < kNumRaw; ++kind) hn::Store(hn::Zero(d), d, raw + kind * n);
    ReverseSideStep(d, program, step, next, side, {o.adjoints, o.scratch, raw}, bias);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
