// The chain of variances read backwards: xx depends on the parameters on its own, through sums of
// windows alone, and every relu of a pair adds adjoint · bend / (2 xx) to it. Used per pair for
// jacobians (the row's and the column's chain), and per image, once a tile, for gradients. Included
// once per target.
#if defined(GRAMTILE_LANES_CHAIN_INL_HPP_) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAMTILE_LANES_CHAIN_INL_HPP_
#undef GRAMTILE_LANES_CHAIN_INL_HPP_
#else
#define GRAMTILE_LANES_CHAIN_INL_HPP_
#endif

#include "engine/lanes/backward-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Where xx of a source comes from: Xx(pixel), and BendFactor(pixel) = 1/(2π xx), 0 where xx = 0.
constexpr double kInverseTwoPi = 0.15915494309189533577;

// Behind a relu, the row image: one value a pixel. Its inverse root is stored halved.
template <class D>
struct RowRoots {
  using T = hn::TFromD<D>;
  D d;
  const T *root, *half_inverse;
  HWY_INLINE hn::Vec<D> Xx(Index i) const { return hn::Set(d, root[i] * root[i]); }
  HWY_INLINE hn::Vec<D> BendFactor(Index i) const {
    return hn::Set(d, static_cast<T>(4 * kInverseTwoPi) * half_inverse[i] * half_inverse[i]);
  }
};

// Behind a relu, the pack of column images.
template <class D>
struct ColumnRoots {
  using T = hn::TFromD<D>;
  D d;
  const T *root, *inverse;
  HWY_INLINE hn::Vec<D> Xx(Index i) const {
    const auto s = hn::Load(d, root + i * static_cast<Index>(hn::Lanes(d)));
    return hn::Mul(s, s);
  }
  HWY_INLINE hn::Vec<D> BendFactor(Index i) const {
    const auto s = hn::Load(d, inverse + i * static_cast<Index>(hn::Lanes(d)));
    return hn::Mul(hn::Mul(s, s), hn::Set(d, static_cast<T>(kInverseTwoPi)));
  }
};

// A plain map of the row image, from the extended variance stack.
template <class D>
struct RowMap {
  D d;
  const hn::TFromD<D>* map;
  HWY_INLINE hn::Vec<D> Xx(Index i) const { return hn::Set(d, map[i]); }
  HWY_INLINE hn::Vec<D> BendFactor(Index) const { return hn::Zero(d); }
};

// A map of the pack: of column images, or of the images of a variance tape.
template <class D>
struct VectorMap {
  D d;
  const hn::TFromD<D>* map;
  HWY_INLINE hn::Vec<D> Xx(Index i) const {
    return hn::Load(d, map + i * static_cast<Index>(hn::Lanes(d)));
  }
  HWY_INLINE hn::Vec<D> BendFactor(Index i) const {
    const auto xx = Xx(i);
    const auto inverse = hn::Div(hn::Set(d, static_cast<hn::TFromD<D>>(kInverseTwoPi)), xx);
    return hn::IfThenElse(hn::Gt(xx, hn::Zero(d)), inverse, hn::Zero(d));
  }
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
  HWY_INLINE hn::Vec<D> BendFactor(Index) const { return hn::Zero(d); }
};

// weight · T (+ bend / (2π xx)) to the adjoint of xx, and Σ xx · T.
template <class D, class Variance>
struct ChainAdjoint {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  D d;
  Variance variance;
  AdjointMap<D> adjoint;  // map == nullptr for images
  const T* bend;          // [pixel][lane], or nullptr
  T weight;
  MapShape shape;
  mutable V weight_sum;

  template <int G>
  HWY_INLINE void Column(Index y, Index x, Index rows, const V (&sums)[G]) const {
    const Index n = static_cast<Index>(hn::Lanes(d)), first = FirstPixel<G>(shape, y, x);
    HWY_UNROLL(4)
    for (int k = 0; k < G; ++k) {
      if (k >= rows) continue;
      const Index pixel = first + k, at = pixel * n;
      weight_sum = hn::MulAdd(variance.Xx(pixel), sums[k], weight_sum);
      if (adjoint.map == nullptr) continue;
      V a = hn::Mul(sums[k], hn::Set(d, weight));
      if (bend != nullptr) a = hn::MulAdd(hn::Load(d, bend + at), variance.BendFactor(pixel), a);
      adjoint.Put(d, at, a);
    }
  }
  HWY_INLINE void Rows(Index, Index) const {}
  HWY_INLINE void KeepTotals(const ChainAdjoint& original) const {
    original.weight_sum = weight_sum;
  }
};

// One step of one chain. `addend`: xx of the addend where its weight is differentiated, as a
// Variance.
template <class D, class Variance, class Addend>
HWY_INLINE void ReverseChainStep(D d, const ReverseSteps& program, const ReverseStep& step,
                                 const Variance& variance, const Addend& addend,
                                 hn::TFromD<D>* adjoints, const hn::TFromD<D>* bend,
                                 hn::TFromD<D>* scratch, hn::TFromD<D>* raw) {
  using T = hn::TFromD<D>;
  const Index n = static_cast<Index>(hn::Lanes(d)), stride = program.forward.slot_stride * n;
  auto addend_sum = hn::Zero(d);
  if (step.forward.addend_derivative) {
    const T* a = adjoints + step.output_adjoint * stride;
    for (Index i = 0; i < step.forward.output.num_pixels(); ++i) {
      addend_sum = hn::MulAdd(hn::Load(d, a + i * n), addend.Xx(i), addend_sum);
    }
  }
  const AdjointRows<D> rows = OutputAdjoint(d, step, stride, adjoints, nullptr);
  const AdjointMap<D> adjoint{
      step.source_adjoint == kNoSlot ? nullptr : adjoints + step.source_adjoint * stride,
      step.source_first};
  const ChainAdjoint<D, Variance> consumer{
      d,          variance, adjoint, bend, static_cast<T>(step.forward.weight), step.forward.input,
      hn::Zero(d)};
  Transposed(d, step, program.forward.row_vectors, scratch, false, rows, consumer);
  const auto add = [&](int kind, hn::Vec<D> v) HWY_ATTR {
    hn::Store(hn::Add(v, hn::Load(d, raw + kind * n)), d, raw + kind * n);
  };
  add(kRawWeight, consumer.weight_sum);
  add(kRawBias, rows.sum);
  add(kRawAddend, addend_sum);
}

// The chain of the pair's row image (kRow) or of its column images.
template <bool kRow, class D>
void ReversePairChainStep(D d, const ReverseSteps& program, const ReverseStep& step,
                          const JacobianOperands<hn::TFromD<D>>& o, hn::TFromD<D>* raw) {
  using T = hn::TFromD<D>;
  using Map = std::conditional_t<kRow, RowMap<D>, VectorMap<D>>;
  using Roots = std::conditional_t<kRow, RowRoots<D>, ColumnRoots<D>>;
  const LaneSteps& f = program.forward;
  const Index lanes = kRow ? 1 : static_cast<Index>(hn::Lanes(d));
  const T* example = kRow ? o.pack.row : o.pack.pack;
  T* adjoints = kRow ? o.row_adjoints : o.column_adjoints;
  const Index num_values = f.channels * f.num_pixels;
  const T* extra = example + (num_values + 2 * f.num_map_pixels) * lanes;
  const Map addend{d, extra + step.addend_variance * lanes};
  const auto run = [&](const auto& variance, const T* bend) HWY_ATTR {
    ReverseChainStep(d, program, step, variance, addend, adjoints, bend, o.pack.scratch, raw);
  };
  if (step.forward.source == RowSource::kImages) {
    run(SquaredImage<D, kRow>{d, example, f.num_pixels, f.channels}, nullptr);
  } else if (reads_relu(step.forward)) {
    const T* root = example + (num_values + step.forward.map_offset) * lanes;
    run(Roots{d, root, root + f.num_map_pixels * lanes}, o.bend);
  } else {
    run(Map{d, extra + step.source_variance * lanes}, nullptr);
  }
}

template <class D>
void RunJacobian(D d, const ReverseSteps& program, const JacobianOperands<hn::TFromD<D>>& o) {
  const ReversePairStep<false, D> pair(d, program, {o.pack, o.adjoints, nullptr, o.bend, nullptr});
  hn::Vec<D> bias = hn::Zero(d);
  const Index n = static_cast<Index>(hn::Lanes(d)), stride = program.forward.slot_stride * n;
  const Index seed = program.seed_adjoint * stride;
  hn::Store(hn::Set(d, hn::TFromD<D>(1)), d, o.adjoints + seed);
  hn::Store(hn::Zero(d), d, o.row_adjoints + seed);
  hn::Store(hn::Zero(d), d, o.column_adjoints + seed);
  for (Index i = 0; i < program.num_steps; ++i) {
    const ReverseStep& step = program.steps[i];
    auto* raw = o.raw + i * kNumRaw * n;
    const RawSums<D> sums = pair.Run(step, nullptr, bias);
    hn::Store(sums.weight, d, raw + kRawWeight * n);
    hn::Store(sums.bias, d, raw + kRawBias * n);
    hn::Store(sums.addend, d, raw + kRawAddend * n);
    ReversePairChainStep<true>(d, program, step, o, raw);
    ReversePairChainStep<false>(d, program, step, o, raw);
  }
}

// The chain of a pack of images, from their own tape.
template <class D>
void RunChain(D d, const ReverseSteps& program, const ChainOperands& o) {
  const LaneSteps& f = program.forward;
  const Index n = static_cast<Index>(hn::Lanes(d)), stride = f.slot_stride * n;
  hn::Store(hn::Load(d, o.seeds), d, o.adjoints + program.seed_adjoint * stride);
  for (Index i = 0; i < program.num_steps; ++i) {
    const ReverseStep& step = program.steps[i];
    double* raw = o.raw + i * kNumRaw * n;
    for (int kind = 0; kind < kNumRaw; ++kind) hn::Store(hn::Zero(d), d, raw + kind * n);
    const Index addend_slot = HWY_MAX(step.forward.addend_slot, Index{0});
    const VectorMap<D> addend{d, o.slots + addend_slot * stride};
    const auto run = [&](const auto& variance, const double* bend) HWY_ATTR {
      ReverseChainStep(d, program, step, variance, addend, o.adjoints, bend, o.scratch, raw);
    };
    if (step.forward.source == RowSource::kImages) {
      run(SquaredImage<D, false>{d, o.images, f.num_pixels, f.channels}, nullptr);
      continue;
    }
    const bool bends = reads_relu(step.forward) && o.bend != nullptr;
    run(VectorMap<D>{d, o.slots + step.forward.input_slot * stride},
        bends ? o.bend + step.forward.map_offset * n : nullptr);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
#endif
