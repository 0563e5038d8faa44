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

// Source is a plain map or the images' product (`Source::At`): weight · T, and Σ source · T.
template <class D, class Source>
struct PlainSink {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  D d;
  Source source;
  AdjointMap<D> adjoint;  // map == nullptr for images: nobody asks
  T weight;
  mutable V weight_sum;

  HWY_NOINLINE void Pixels(Index first, const T* t, Index count) const {
    const Index n = static_cast<Index>(hn::Lanes(d));
    V total = weight_sum;
    for (Index i = 0; i < count; ++i) {
      const V value = hn::Load(d, t + i * n);
      total = hn::MulAdd(source.At(first + i), value, total);
      if (adjoint.map != nullptr) {
        adjoint.Put(d, (first + i) * n, hn::Mul(value, hn::Set(d, weight)));
      }
    }
    weight_sum = total;
  }
};

// Source is twice the relu of a map. Beside the adjoint of the map, adjoint · bend goes to `bend`:
// kAccumulate (gradient): added to the pack's accumulator, and summed over lanes to the row's;
// otherwise (jacobian): stored.
template <bool kNonneg, bool kAccumulate, class D>
struct ReluSink {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  D d;
  ReluOperands<T> operands;
  AdjointMap<D> adjoint;
  T weight;
  T* bend;      // [pixel][lane]
  T* row_bend;  // [pixel]; kAccumulate only
  mutable V weight_sum;

  HWY_NOINLINE void Pixels(Index first, T* t, Index count) const {
    const Index n = static_cast<Index>(hn::Lanes(d));
    const ReluOperands<T> o = operands.From(first, n);
    const AdjointMap<D> to{adjoint.map + first * n, adjoint.first};
    T* const bends = bend + first * n;
    V total = weight_sum;
    Index i = 0;
    for (; i + kStep <= count; i += kStep) Couple(o, to, bends, t, i, 1, total);
    for (; i < count; ++i) Couple(o, to, bends, t, i, 0, total);
    weight_sum = total;
    if (kAccumulate) AddLaneSums(d, t, count, row_bend + first);
  }

  // Pixels i and i + second. t is overwritten with adjoint · bend.
  HWY_INLINE void Couple(const ReluOperands<T>& o, const AdjointMap<D>& to, T* bends, T* t, Index i,
                         Index second, V& total) const {
    const Index n = static_cast<Index>(hn::Lanes(d));
    constexpr int N = kStep;
    V xy[N], sx[N], sy[N], half_inverse[N], slope[N], b[N], a[N];
    LoadReluOperands(d, o, i, second, xy, sx, sy, half_inverse);
    TwiceReluDerivative<kNonneg>(d, xy, sx, sy, half_inverse, slope, b);
    GRAMTILE_EACH(k) a[k] = hn::Load(d, t + (i + k * second) * n);
    for (int k = 0; k <= second; ++k) {
      total = hn::MulAdd(hn::MulAdd(xy[k], slope[k], b[k]), a[k], total);
    }
    GRAMTILE_EACH(k) a[k] = hn::Mul(a[k], hn::Set(d, weight));
    GRAMTILE_EACH(k) b[k] = hn::Mul(a[k], b[k]);
    for (int k = 0; k <= second; ++k) {
      const Index at = (i + k) * n;
      to.Put(d, at, hn::Mul(a[k], slope[k]));
      if (kAccumulate) hn::Store(b[k], d, t + at);
      hn::Store(kAccumulate ? hn::Add(b[k], hn::Load(d, bends + at)) : b[k], d, bends + at);
    }
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
          step.forward.output.width,
          hn::Zero(d),
          hn::Zero(d)};
}

// The reverse of one step on the pair's map. Calls done(rows, weight_sum) at the end.
template <bool kAccumulate, class D, class Done>
HWY_INLINE void ReversePairStep(D d, const ReverseSteps& program, const ReverseStep& step,
                                const PackOperands<hn::TFromD<D>>& pack, hn::TFromD<D>* adjoints,
                                hn::TFromD<D>* group, hn::TFromD<D>* bend, hn::TFromD<D>* row_bend,
                                const Done& done) {
  using T = hn::TFromD<D>;
  const Index n = static_cast<Index>(hn::Lanes(d));
  const LaneSteps& forward = program.forward;
  const LaneStep& f = step.forward;
  const Index stride = forward.slot_stride * n;
  const T* addend = f.addend_derivative ? pack.slots + f.addend_slot * stride : nullptr;
  const AdjointRows<D> rows = OutputAdjoint(d, step, stride, adjoints, addend);
  const AdjointMap<D> adjoint{
      step.source_adjoint == kNoSlot ? nullptr : adjoints + step.source_adjoint * stride,
      step.source_first};
  const T weight = static_cast<T>(f.weight);
  if (f.source == RowSource::kImages) {
    const ImageRows<D> source = ImageSource(d, forward, f, pack);
    const PlainSink<D, ImageRows<D>> sink{d, source, adjoint, weight, hn::Zero(d)};
    Transposed(d, f, forward.row_vectors, pack.scratch, group, rows, sink);
    return done(rows, sink.weight_sum);
  }
  const T* map = pack.slots + f.input_slot * stride;
  if (f.source == RowSource::kMap) {
    const PlainSink<D, MapRows<D>> sink{d, {d, map, f.input.width}, adjoint, weight, hn::Zero(d)};
    Transposed(d, f, forward.row_vectors, pack.scratch, group, rows, sink);
    return done(rows, sink.weight_sum);
  }
  const ReluOperands<T> operands = ReluSource(d, forward, f, pack);
  if (f.source == RowSource::kReluNonneg) {
    const ReluSink<true, kAccumulate, D> sink{d,    operands, adjoint,    weight,
                                              bend, row_bend, hn::Zero(d)};
    Transposed(d, f, forward.row_vectors, pack.scratch, group, rows, sink);
    return done(rows, sink.weight_sum);
  }
  const ReluSink<false, kAccumulate, D> sink{d,    operands, adjoint,    weight,
                                             bend, row_bend, hn::Zero(d)};
  Transposed(d, f, forward.row_vectors, pack.scratch, group, rows, sink);
  done(rows, sink.weight_sum);
}

template <class D>
void RunGradient(D d, const ReverseSteps& program, const GradientOperands<hn::TFromD<D>>& o) {
  using V = hn::Vec<D>;
  const Index n = static_cast<Index>(hn::Lanes(d)), stride = program.forward.slot_stride * n;
  hn::Store(hn::Load(d, o.seeds), d, o.adjoints + program.seed_adjoint * stride);
  for (Index i = 0; i < program.num_steps; ++i) {
    const ReverseStep& step = program.steps[i];
    double* raw = o.raw + i * kNumRaw;
    ReversePairStep<true>(d, program, step, o.pack, o.adjoints, o.group,
                          o.column_bend + step.forward.map_offset * n,
                          o.row_bend + step.forward.map_offset,
                          [&](const AdjointRows<D>& rows, V weight_sum) HWY_ATTR {
                            raw[kRawWeight] += LaneSum(d, weight_sum);
                            raw[kRawBias] += LaneSum(d, rows.sum);
                            raw[kRawAddend] += LaneSum(d, rows.addend_sum);
                          });
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
#endif
