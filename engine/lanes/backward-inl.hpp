// The lane program run backwards: gradients of packs of pairs, and steps of it for jacobians.
// Included once per target. The equations stand in reverse_step.hpp and docs/mathematics.md.
#pragma once

#include "engine/lanes/poison-inl.hpp"
#include "engine/lanes/relu_adjoint-inl.hpp"
#include "engine/lanes/variances-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Source is a plain map or the images' product (`Source::At`): weight · T, and Σ source · T.
template <class D, class Source>
struct PlainAdjoint {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  static constexpr bool kUnitOnly = false, kFused = true;
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

template <class D>
HWY_INLINE AdjointRows<D> OutputAdjoint(D d, const ReverseStep& step, Index stride,
                                        hn::TFromD<D>* adjoints, const hn::TFromD<D>* addend) {
  using T = hn::TFromD<D>;
  return {.d = d,
          .adjoint = adjoints + step.output_adjoint * stride,
          .addend = addend,
          .addend_adjoint =
              step.addend_adjoint == kNoSlot ? nullptr : adjoints + step.addend_adjoint * stride,
          .addend_first = step.addend_first,
          .addend_weight = static_cast<T>(step.forward.addend_weight),
          .sum = hn::Zero(d),
          .addend_sum = hn::Zero(d)};
}

// The raw derivatives of one step by one pack, per lane.
template <class D>
struct StepDerivatives {
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
  HWY_INLINE StepDerivatives<D> Turn(const ReverseStep& step, const ReverseStep& next, V seeds,
                                     V& bias) const {
    step.forward.source == RowSource::kReluNonneg ? Turn<true>(step, next, seeds, bias)
                                                  : Turn<false>(step, next, seeds, bias);
    return {hn::Zero(d_), seeds, hn::Zero(d_)};
  }

  // The first relu: ReluEnd. Leaves the raw derivatives of `next` in `last`.
  HWY_INLINE StepDerivatives<D> End(const ReverseStep& step, const ReverseStep& next, V bias,
                                    StepDerivatives<D>& last) const {
    const Index stride = program_.forward.slot_stride * static_cast<Index>(hn::Lanes(d_));
    const AdjointRows<D> rows =
        OutputAdjoint(d_, step, stride, b_.adjoints, static_cast<const T*>(nullptr));
    last = step.forward.source == RowSource::kReluNonneg ? End<true>(step, next, rows)
                                                         : End<false>(step, next, rows);
    return {hn::Zero(d_), step.sums_ready ? bias : rows.sum, hn::Zero(d_)};
  }

  HWY_INLINE StepDerivatives<D> Run(const ReverseStep& step, const ReverseStep* next,
                                    V& bias) const {
    const Index n = static_cast<Index>(hn::Lanes(d_));
    const LaneSteps& forward = program_.forward;
    const LaneStep& f = step.forward;
    const Index stride = forward.slot_stride * n;
    if (f.source == RowSource::kPoint) {
      ReversePoint<kBends>(d_, program_, step, b_.pack, b_.adjoints,
                           {b_.bend, b_.row_bend, b_.row_bend_first});
      return {hn::Zero(d_), hn::Zero(d_), hn::Zero(d_)};  // it has no parameter
    }
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
        .d = d_,
        .source = source,
        .adjoint = {.map = step.source_adjoint == kNoSlot
                               ? nullptr
                               : b_.adjoints + step.source_adjoint * stride,
                    .first = step.source_first},
        .weight = static_cast<T>(step.forward.weight),
        .shape = step.forward.input,
        .weight_sums = {hn::Zero(d_), hn::Zero(d_)}};
    Transposed(d_, step, program_.forward.row_vectors, b_.pack.scratch, rows,
               ConsumerOf(d_, consumer));
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
    const NextRows<D> sums = NextRowsOf(d_, program_, step, next, b_.pack.scratch);
    const auto consumer = AdjointOf<kNonneg, kHaversines>(step, next, sums);
    Transposed(d_, step, program_.forward.row_vectors, b_.pack.scratch, rows,
               ConsumerOf(d_, consumer));
    bias = consumer.target.sum;
    return consumer.WeightSum();
  }
  template <bool kNonneg, bool kHaversines>
  HWY_INLINE ReluAdjoint<kNonneg, kBends, kHaversines, D> AdjointOf(const ReverseStep& step,
                                                                    const ReverseStep* next,
                                                                    const NextRows<D>& sums) const {
    const Index stride = program_.forward.slot_stride * static_cast<Index>(hn::Lanes(d_));
    return {.d = d_,
            .operands = ReluSource(d_, program_.forward, step.forward, b_.pack),
            .target = TargetOf(d_, step, next, stride, b_.adjoints, sums),
            .weight = SafeWeight<T>(step.forward.weight),
            .shape = step.forward.input,
            .bend = b_.bend,
            .row_bend = b_.row_bend,
            .row_bend_first = b_.row_bend_first,
            .group = b_.group,
            .slope_sum = hn::Zero(d_),
            .bend_sum = hn::Zero(d_)};
  }

  template <bool kNonneg>
  HWY_NOINLINE StepDerivatives<D> End(const ReverseStep& step, const ReverseStep& next,
                                      const AdjointRows<D>& rows) const {
    const NextRows<D> none = NextRowsOf(d_, program_, step, nullptr, b_.pack.scratch);
    auto adjoint = AdjointOf<kNonneg, true>(step, nullptr, none);
    adjoint.target.way = AdjointWay::kSum;
    const ReluEnd<kNonneg, D> consumer{
        d_, AffineOf(next.forward), adjoint, {hn::Zero(d_), hn::Zero(d_)}};
    Transposed(d_, step, program_.forward.row_vectors, b_.pack.scratch, rows,
               ConsumerOf(d_, consumer));
    return {hn::Add(consumer.weight_sums[0], consumer.weight_sums[1]), consumer.adjoint.target.sum,
            hn::Zero(d_)};
  }

  // Of a step without an addend.
  HWY_INLINE Affine<D> AffineOf(const LaneStep& step) const {
    return {nullptr, static_cast<T>(step.weight), static_cast<T>(step.bias), T(0)};
  }

  template <bool kNonneg>
  HWY_NOINLINE void Turn(const ReverseStep& step, const ReverseStep& next, V seeds, V& bias) const {
    const NextRows<D> sums = NextRowsOf(d_, program_, step, &next, b_.pack.scratch);
    const LaneStep& writer = next.forward;
    const ReluTurn<kNonneg, D> consumer{d_, AffineOf(writer),
                                        AdjointOf<kNonneg, true>(step, &next, sums), seeds};
    RunStepFromSource(d_, program_.forward, writer, b_.pack, ConsumerOf(d_, consumer));
    bias = consumer.adjoint.target.sum;
  }

  D d_;
  const ReverseSteps& program_;
  Buffers b_;
};

template <class D>
void RunGradient(D d, const ReverseSteps& program, const GradientOperands<hn::TFromD<D>>& o) {
  const Index n = static_cast<Index>(hn::Lanes(d)), stride = program.forward.slot_stride * n;
  PoisonAdjoints(d, program, o.adjoints);
  ZeroRow(d, program.forward, o.pack.scratch);
  hn::Store(hn::Load(d, o.seeds), d, o.adjoints + program.seed_adjoint * stride);
  const auto add = [&](Index i, const StepDerivatives<D>& sums) HWY_ATTR {
    double* raw = o.raw + i * kNumRaw;
    raw[kRawWeight] += LaneSum(d, sums.weight);
    raw[kRawBias] += LaneSum(d, sums.bias);
    raw[kRawAddend] += LaneSum(d, sums.addend);
  };
  hn::Vec<D> bias = hn::Zero(d);
  for (Index i = 0; i < program.num_steps; ++i) {
    const ReverseStep& step = program.steps[i];
    const bool turn = i == 0 && program.forward.mode == ForwardMode::kGradientTurn;
    PoisonScratch(d, program.forward, o.pack.scratch,
                  turn ? SumsFoundBy(program.steps[1].forward) : SumsFoundBy(step));
    const ReversePairStep<Bends::kSums, D> reverse(
        d, program,
        {o.pack, o.adjoints, o.group, o.column_bend + step.forward.map_offset * n,
         o.row_bend + step.forward.map_offset, o.row_bend_first});
    const ReverseStep* const next = i + 1 < program.num_steps ? &program.steps[i + 1] : nullptr;
    if (turn) {
      add(i, reverse.Turn(step, *next, hn::Load(d, o.seeds), bias));
    } else if (step.ends && keeps_sums(program.forward.mode)) {
      StepDerivatives<D> last;
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
