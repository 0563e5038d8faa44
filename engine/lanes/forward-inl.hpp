// The lane program run forwards on one pack of pairs. Included once per target.
//
// Where a convolution, a relu and a convolution follow each other, one loop takes the sums along y
// of the first, scales them, applies the relu and sums rows along x for the second:
//
//   sums along x ─→ sums along y → weight, bias, addend (→ slot) → relu → row buffers ─→ sums along
//   x
//
// so that what lies between two layers in memory is one map, written once and read once. A relu
// that is a map of its own (of a residual sum; or read more than once) is made in the same loop:
//
//   … → relu → weight, bias, addend (→ slot) → row buffers ─→ sums along x
#pragma once

#include "engine/lanes/next_rows-inl.hpp"
#include "engine/lanes/point_step-inl.hpp"
#include "engine/lanes/poison-inl.hpp"
#include "engine/lanes/step-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// What goes to the slot of a step's output: the output, unless the slot is nullptr; its relu's
// haversine with the output's sign; or the sums that the output is made of.
enum class TapeForm { kOutput, kHaversines, kSums };

// The output of a step, and twice its relu.
template <bool kNonneg, TapeForm kTape, class D>
struct ReluOfOutput {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  D d;
  Affine<D> affine;
  T* output;
  MapShape shape;
  ReluOperands<T> relu;

  // put(q, f): f[k] is twice the relu in row y + q + k, of those that are among the `rows`.
  template <int G, class Put>
  HWY_INLINE void Column(Index y, Index x, Index rows, const V (&sums)[G], const Put& put) const {
    constexpr int N = HWY_MIN(G, kTogether<T>);
    const Index lanes = static_cast<Index>(hn::Lanes(d));
    const Index first = FirstPixel<G>(shape, y, x);
    V values[G];
    // Addends first: the output may overwrite them. Rows there are not repeat the first.
    HWY_UNROLL(4)
    for (int k = 0; k < G; ++k) {
      values[k] = affine(d, sums[k], (first + (k < rows ? k : 0)) * lanes);
    }
    if (kTape != TapeForm::kHaversines && output != nullptr) {
      HWY_UNROLL(4)
      for (int k = 0; k < G; ++k) {
        const V value = kTape == TapeForm::kSums ? sums[k] : values[k];
        if (k < rows) hn::Store(value, d, output + (first + k) * lanes);
      }
    }
    HWY_UNROLL(2)
    for (int q = 0; q < G; q += N) {
      V xy[N], sx[N], sy[N], half_inverse[N], u[N], f[N];
      GRAMTILE_EACH(k) {
        const Index i = first + (q + k < rows ? q + k : 0), at = i * lanes;
        xy[k] = values[q + k];
        half_inverse[k] =
            hn::Mul(hn::Set(d, relu.row_half_inverse[i]), hn::Load(d, relu.column_inverse + at));
        sx[k] = hn::Set(d, relu.row_root[i]);
        sy[k] = hn::Load(d, relu.column_root + at);
        if constexpr (kTape == TapeForm::kOutput) {
          relu.PrefetchPack(at + kPixelsAhead * lanes);
        } else {
          __builtin_prefetch(output + at + kPixelsAhead * lanes, 1);
        }
      }
      TwiceRelu<kNonneg, kTape == TapeForm::kHaversines>(d, xy, sx, sy, half_inverse, u, f);
      if constexpr (kTape == TapeForm::kHaversines) {
        GRAMTILE_EACH(k) {
          const V value = kNonneg ? u[k] : hn::CopySignToAbs(u[k], xy[k]);
          if (q + k < rows) hn::Store(value, d, output + (first + q + k) * lanes);
        }
      }
      put(q, f);
    }
  }
  HWY_INLINE void PrefetchRows(Index y, Index rows) const {
    // Behind the map: the next relu's.
    relu.PrefetchRow((y + kRowsAhead) * shape.width, rows * shape.width);
  }
};

// Twice the relu to the next step's sums.
template <bool kNonneg, TapeForm kTape, class D>
struct ReluIntoNext {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  static constexpr bool kUnitOnly = true, kFused = true;
  D d;
  ReluOfOutput<kNonneg, kTape, D> relu;
  NextRows<D> next;
  T* origin;  // next.Origin of the part at hand

  template <int G>
  HWY_INLINE void Column(Index y, Index x, Index rows, const V (&sums)[G]) const {
    constexpr int N = HWY_MIN(G, kTogether<T>);
    const Index lanes = static_cast<Index>(hn::Lanes(d));
    T* const to = next.At(origin, y, x);
    relu.Column(y, x, rows, sums, [&](int q, const V(&f)[N]) HWY_ATTR {
      GRAMTILE_EACH(k) {
        if (q + k < rows) hn::Store(f[k], d, to + (q + k) * lanes);
      }
    });
  }
  HWY_INLINE void Rows(Index y, Index rows) const {
    relu.PrefetchRows(y, rows);
    next.Rows(y, rows);
  }
  // Without a tape a group leaves room in L1.
  HWY_INLINE Index Split() const requires(kTape != TapeForm::kOutput) { return next.Split(); }
  HWY_INLINE void StartPart(Index x) requires(kTape != TapeForm::kOutput) {
    origin = next.Origin(x);
  }
  HWY_INLINE void FirstPart(Index y) const { next.FirstPart(y); }
  HWY_INLINE void LastPart(Index y) const {
    relu.PrefetchRows(y, kGroupRows);
    next.LastPart(y);
  }
  HWY_INLINE void KeepTotals(const ReluIntoNext&) const {}
};

// Twice the relu to a step without a window (LaneStep::applied_before), and the output of that to
// its slot, unless `output` is nullptr, and to the sums of the step behind it, if it has any.
template <bool kNonneg, class D>
struct ReluIntoMap {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  static constexpr bool kUnitOnly = true, kFused = true;
  D d;
  ReluOfOutput<kNonneg, TapeForm::kOutput, D> relu;
  Affine<D> affine;
  T* output;
  const NextRows<D>* next;  // or nullptr
  T* origin;                // its Origin of the part at hand

  template <int G>
  HWY_INLINE void Column(Index y, Index x, Index rows, const V (&sums)[G]) const {
    constexpr int N = HWY_MIN(G, kTogether<T>);
    const Index lanes = static_cast<Index>(hn::Lanes(d));
    const Index first = FirstPixel<G>(relu.shape, y, x);
    T* const to = NextRows<D>::At(origin, y, x);
    relu.Column(y, x, rows, sums, [&](int q, const V(&f)[N]) HWY_ATTR {
      V values[N];
      GRAMTILE_EACH(k) {
        values[k] = affine(d, f[k], (first + (q + k < rows ? q + k : 0)) * lanes);
      }
      GRAMTILE_EACH(k) {
        if (q + k < rows && output != nullptr) {
          hn::Store(values[k], d, output + (first + q + k) * lanes);
        }
      }
      GRAMTILE_EACH(k) {
        if (q + k < rows && next != nullptr) hn::Store(values[k], d, to + (q + k) * lanes);
      }
    });
  }
  HWY_INLINE void Rows(Index y, Index rows) const {
    relu.PrefetchRows(y, rows);
    if (next != nullptr) next->Rows(y, rows);
  }
  HWY_INLINE void KeepTotals(const ReluIntoMap&) const {}
};

// The steps of a program on one pack.
template <class D>
class ForwardPass {
  using T = hn::TFromD<D>;

 public:
  ForwardPass(D d, const LaneSteps& program, const PackOperands<T>& pack)
      : d_(d), program_(program), pack_(pack) {}

  HWY_INLINE void Run() const {
    PoisonMaps(d_, program_, pack_.slots, program_.num_slots);
    ZeroRow(d_, program_, pack_.scratch);
    Index i = 0;
    while (i < program_.num_steps - num_left(program_.mode)) {
      PoisonScratch(d_, program_, pack_.scratch, SumsFoundBy(program_.steps[i]));
      PoisonSlots(d_, program_, pack_.slots, i);
      i += RunFrom(i);
    }
  }

 private:
  // Runs step i and what it does of others. Returns the number of steps that are done.
  HWY_INLINE Index RunFrom(Index i) const {
    const LaneStep& step = program_.steps[i];
    if (step.source == RowSource::kPoint) {
      RunPoint(d_, program_, step, pack_);
      return 1;
    }
    const LaneStep* const next = Following(i);
    if (next != nullptr && next->applied_before) {
      const LaneStep* const after = Following(i + 1);
      const LaneStep* const sums = after != nullptr && after->sums_ready ? after : nullptr;
      next->source == RowSource::kReluNonneg ? IntoMap<true>(step, *next, sums)
                                             : IntoMap<false>(step, *next, sums);
      return 2;
    }
    if (next == nullptr || !next->sums_ready) {
      const StoreAffine<D> consumer{d_, AffineOf(step), Map(step.output_slot), step.output};
      RunStepFromSource(d_, program_, step, pack_, ConsumerOf(d_, consumer));
    } else if (next->source == RowSource::kReluNonneg) {
      IntoNext<true>(step, *next);
    } else {
      IntoNext<false>(step, *next);
    }
    return 1;
  }

  template <bool kNonneg>
  HWY_INLINE void IntoNext(const LaneStep& step, const LaneStep& next) const {
    if (!keeps_haversines(program_.mode) || !step.haversine_suffices) {
      IntoNext<kNonneg, TapeForm::kOutput>(step, next);
    } else if (keeps_sums(program_.mode) && step.source == RowSource::kImages) {
      IntoNext<kNonneg, TapeForm::kSums>(step, next);
    } else {
      IntoNext<kNonneg, TapeForm::kHaversines>(step, next);
    }
  }
  template <bool kNonneg, TapeForm kTape>
  HWY_NOINLINE void IntoNext(const LaneStep& step, const LaneStep& next) const {
    const NextRows<D> sums = SumsOf(next);
    sums.Start();
    const ReluIntoNext<kNonneg, kTape, D> consumer{d_, OutputRelu<kNonneg, kTape>(step, next), sums,
                                                   sums.Origin(0)};
    RunStepFromSource(d_, program_, step, pack_, ConsumerOf(d_, consumer));
  }
  template <bool kNonneg>
  HWY_NOINLINE void IntoMap(const LaneStep& step, const LaneStep& next,
                            const LaneStep* after) const {
    const NextRows<D> sums = SumsOf(after != nullptr ? *after : step);
    if (after != nullptr) sums.Start();
    const ReluIntoMap<kNonneg, D> consumer{d_,
                                           OutputRelu<kNonneg, TapeForm::kOutput>(step, next),
                                           AffineOf(next),
                                           OutputOf(next),
                                           after != nullptr ? &sums : nullptr,
                                           sums.Origin(0)};
    RunStepFromSource(d_, program_, step, pack_, ConsumerOf(d_, consumer));
  }

  const LaneStep* Following(Index i) const {
    return i + 1 < program_.num_steps ? &program_.steps[i + 1] : nullptr;
  }
  HWY_INLINE T* Map(Index slot) const {
    const Index stride = program_.slot_stride * static_cast<Index>(hn::Lanes(d_));
    return slot == kNoSlot ? nullptr : pack_.slots + slot * stride;
  }
  HWY_INLINE T* OutputOf(const LaneStep& step) const {
    return step.stores_output ? Map(step.output_slot) : nullptr;
  }
  HWY_INLINE Affine<D> AffineOf(const LaneStep& step) const {
    return {Map(step.addend_slot), static_cast<T>(step.weight), static_cast<T>(step.bias),
            static_cast<T>(step.addend_weight)};
  }
  HWY_INLINE NextRows<D> SumsOf(const LaneStep& step) const {
    const Index group = kGroupRows * program_.row_vectors * static_cast<Index>(hn::Lanes(d_));
    return {d_, WindowJobOf(d_, step, program_.row_vectors, pack_.scratch), pack_.scratch + group};
  }
  template <bool kNonneg, TapeForm kTape>
  HWY_INLINE ReluOfOutput<kNonneg, kTape, D> OutputRelu(const LaneStep& step,
                                                        const LaneStep& next) const {
    return {d_, AffineOf(step), OutputOf(step), step.output, ReluSource(d_, program_, next, pack_)};
  }

  D d_;
  const LaneSteps& program_;
  const PackOperands<T>& pack_;
};

template <class D>
void RunForward(D d, const LaneSteps& program, const PackOperands<hn::TFromD<D>>& pack) {
  ForwardPass<D>(d, program, pack).Run();
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
