// The lane program run forwards on one pack of pairs. Included once per target.
//
// Where a convolution, a relu and a convolution follow each other, one loop takes the sums along y
// of the first, scales them, applies the relu and sums rows along x for the second:
//
//   sums along x ─→ sums along y → weight, bias, addend (→ slot) → relu → row buffers ─→ sums along
//   x
//
// so that what lies between two layers in memory is one map, written once and read once.
#if defined(GRAMTILE_LANES_FORWARD_INL_HPP_) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAMTILE_LANES_FORWARD_INL_HPP_
#undef GRAMTILE_LANES_FORWARD_INL_HPP_
#else
#define GRAMTILE_LANES_FORWARD_INL_HPP_
#endif

#include "engine/lanes/next_sums-inl.hpp"
#include "engine/lanes/step-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The output of a step, through the relu, to the next step's sums; also to its slot, unless
// `output` is nullptr: as it is, or (kHaversines) the relu's haversine with the output's sign.
template <bool kNonneg, bool kHaversines, class D>
struct ReluIntoNext {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  D d;
  Affine<D> affine;
  T* output;
  MapShape shape;
  ReluOperands<T> relu;
  NextSums<D> next;

  template <int G>
  HWY_INLINE void Column(Index y, Index x, Index rows, const V (&sums)[G]) const {
    constexpr int N = HWY_MIN(G, kTogether<T>);
    const Index lanes = static_cast<Index>(hn::Lanes(d));
    const Index first = FirstPixel<G>(shape, y, x);
    V values[G];
    // Addends first: the output may overwrite them. Rows there are not repeat the first.
    HWY_UNROLL(4)
    for (int k = 0; k < G; ++k) {
      values[k] = affine(d, sums[k], (first + (k < rows ? k : 0)) * lanes);
    }
    if (!kHaversines && output != nullptr) {
      HWY_UNROLL(4)
      for (int k = 0; k < G; ++k) {
        if (k < rows) hn::Store(values[k], d, output + (first + k) * lanes);
      }
    }
    T* const to = next.RowBuffer(y) + x * kGroupRows * lanes;
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
        if (!kHaversines) relu.PrefetchPack(at + kPixelsAhead * lanes);
      }
      TwiceRelu<kNonneg, kHaversines>(d, xy, sx, sy, half_inverse, u, f);
      if constexpr (kHaversines) {
        GRAMTILE_EACH(k) {
          const V value = kNonneg ? u[k] : hn::CopySignToAbs(u[k], xy[k]);
          if (q + k < rows) hn::Store(value, d, output + (first + q + k) * lanes);
        }
      }
      GRAMTILE_EACH(k) {
        if (q + k < rows) hn::Store(f[k], d, to + (q + k) * lanes);
      }
    }
  }
  HWY_INLINE void Rows(Index y, Index rows) const {
    relu.PrefetchRow((y + kRowsAhead) * shape.width,
                     rows * shape.width);  // behind the map: the next relu's
    next.Rows(y, rows);
  }
  HWY_INLINE void KeepTotals(const ReluIntoNext&) const {}
};

template <bool kNonneg, bool kHaversines, class D>
HWY_NOINLINE void RunIntoNext(D d, const LaneSteps& program, const LaneStep& step,
                              const LaneStep& next, const PackOperands<hn::TFromD<D>>& pack,
                              const Affine<D>& affine, hn::TFromD<D>* output) {
  const Index group = kGroupRows * program.row_vectors * static_cast<Index>(hn::Lanes(d));
  const NextSums<D> sums{d, WindowJobOf(d, next, program.row_vectors, pack.scratch),
                         pack.scratch + group};
  sums.Start();
  RunStepFromSource(
      d, program, step, pack,
      ReluIntoNext<kNonneg, kHaversines, D>{d, affine, step.stores_output ? output : nullptr,
                                            step.output, ReluSource(d, program, next, pack), sums});
}

template <class D>
void RunForward(D d, const LaneSteps& program, const PackOperands<hn::TFromD<D>>& pack) {
  using T = hn::TFromD<D>;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const auto map = [&](Index slot) HWY_ATTR -> T* {
    return slot == kNoSlot ? nullptr : pack.slots + slot * program.slot_stride * lanes;
  };
  for (Index i = 0; i < program.num_steps; ++i) {
    const LaneStep& step = program.steps[i];
    T* output = map(step.output_slot);
    const Affine<D> affine{map(step.addend_slot), static_cast<T>(step.weight),
                           static_cast<T>(step.bias), static_cast<T>(step.addend_weight)};
    const LaneStep* next = i + 1 < program.num_steps ? &program.steps[i + 1] : nullptr;
    const bool haversines = program.keeps_haversines && step.haversine_suffices;
    if (next == nullptr || !next->sums_ready) {
      RunStepFromSource(d, program, step, pack, StoreAffine<D>{d, affine, output, step.output});
    } else if (next->source == RowSource::kReluNonneg) {
      haversines ? RunIntoNext<true, true>(d, program, step, *next, pack, affine, output)
                 : RunIntoNext<true, false>(d, program, step, *next, pack, affine, output);
    } else {
      haversines ? RunIntoNext<false, true>(d, program, step, *next, pack, affine, output)
                 : RunIntoNext<false, false>(d, program, step, *next, pack, affine, output);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
#endif
