// Transposed window sums on lanes: from the adjoint of a step's output to T, the adjoint of what
// its windows sum. Included once per target.
//
// With stride 1 the transpose is a window sum again, its padding mirrored: the same fast path. T is
// handed to a sink a few rows at a time, while it is in L1: sink.Pixels(first pixel, T, count).
#if defined(GRAMTILE_LANES_TRANSPOSE_INL_HPP_) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAMTILE_LANES_TRANSPOSE_INL_HPP_
#undef GRAMTILE_LANES_TRANSPOSE_INL_HPP_
#else
#define GRAMTILE_LANES_TRANSPOSE_INL_HPP_
#endif

#include "engine/lanes/step-inl.hpp"
#include "engine/lanes/reverse_step.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The adjoint of a step's output, row by row; on the way its sum, its product with the addend, and
// its contribution to the addend's adjoint.
template <class D>
struct AdjointRows {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  D d;
  const T* adjoint;
  const T* addend;    // tape, or nullptr
  T* addend_adjoint;  // or nullptr
  bool addend_first;
  T addend_weight;
  Index width;
  mutable V sum, addend_sum;

  HWY_INLINE void Row(Index y, T* to) const {
    const Index n = static_cast<Index>(hn::Lanes(d)), first = y * width * n;
    V total = sum;
    for (Index i = 0; i < width * n; i += n) {
      const V a = hn::Load(d, adjoint + first + i);
      total = hn::Add(total, a);
      hn::Store(a, d, to + i);
    }
    sum = total;
    if (addend_adjoint != nullptr) Addend(first);
  }

  HWY_NOINLINE void Addend(Index first) const {
    const Index n = static_cast<Index>(hn::Lanes(d));
    for (Index i = first; i < first + width * n; i += n) {
      const V a = hn::Load(d, adjoint + i);
      if (addend != nullptr) addend_sum = hn::MulAdd(a, hn::Load(d, addend + i), addend_sum);
      V value = hn::Mul(a, hn::Set(d, addend_weight));
      if (!addend_first) value = hn::Add(value, hn::Load(d, addend_adjoint + i));
      hn::Store(value, d, addend_adjoint + i);
    }
  }
};

// Collects the sums of a few rows, then hands them to the sink.
template <class D, class Sink>
struct ToSink {
  using T = hn::TFromD<D>;
  D d;
  T* buffer;  // kGroupRows rows of `width` vectors
  Index width;
  const Sink* sink;

  template <int G>
  HWY_INLINE void Column(Index y, Index x, Index rows, const hn::Vec<D> (&sums)[G]) const {
    const Index lanes = static_cast<Index>(hn::Lanes(d));
    T* to = buffer + (y % kGroupRows * width + x) * lanes;
    HWY_UNROLL(4)
    for (int k = 0; k < G; ++k) {
      if (k < rows) hn::Store(sums[k], d, to + k * width * lanes);
    }
  }
  HWY_INLINE void Rows(Index y, Index rows) const {
    const Index lanes = static_cast<Index>(hn::Lanes(d));
    sink->Pixels(y * width, buffer + y % kGroupRows * width * lanes, rows * width);
  }
};

// Any geometry: input pixel x of an axis is in the windows of outputs o = (x + low −
// i·dilation)/stride that are whole and inside. Sums along x of every output row are kept, then
// summed along y.
template <class D, class Source, class Consumer>
void GeneralTransposed(D d, const LaneStep& step, const WindowJob<hn::TFromD<D>>& job,
                       const Source& source, const Consumer& consumer) {
  using V = hn::Vec<D>;
  const Index n = static_cast<Index>(hn::Lanes(d));
  const WindowGeometry& g = step.geometry;
  const Index width = step.input.width;
  const auto output_of = [&](Index x, Index i, Index size) -> Index {
    const Index at = x + g.pad_low - i * g.dilation;
    if (at < 0 || at % g.stride != 0 || at / g.stride >= size) return -1;
    return at / g.stride;
  };
  for (Index oy = 0; oy < step.output.height; ++oy) {
    source.Row(oy, job.row);
    for (Index x = 0; x < width; ++x) {
      V sum = hn::Zero(d);
      for (Index i = 0; i < g.kernel_size && i * g.dilation <= x + g.pad_low; ++i) {
        const Index ox = output_of(x, i, step.output.width);
        if (ox >= 0) sum = hn::Add(sum, hn::Load(d, job.row + ox * n));
      }
      hn::Store(sum, d, job.sums + (oy * width + x) * n);
    }
  }
  for (Index y = 0; y < step.input.height; ++y) {
    HandOverRow(d, consumer, y, width, [&](Index x) HWY_ATTR {
      V sum = hn::Zero(d);
      for (Index i = 0; i < g.kernel_size && i * g.dilation <= y + g.pad_low; ++i) {
        const Index oy = output_of(y, i, step.output.height);
        if (oy >= 0) sum = hn::Add(sum, hn::Load(d, job.sums + (oy * width + x) * n));
      }
      return sum;
    });
  }
}

// Runs T of one step into the sink. `group`: kGroupRows rows of vectors.
template <class D, class Sink>
HWY_NOINLINE void Transposed(D d, const LaneStep& step, Index row_vectors, hn::TFromD<D>* scratch,
                             hn::TFromD<D>* group, const AdjointRows<D>& source,
                             const Sink& sink) {
  const Index n = static_cast<Index>(hn::Lanes(d));
  const Index width = step.input.width;
  const WindowGeometry& g = step.geometry;
  if (step.pointwise()) {
    for (Index y = 0; y < step.input.height; ++y) {
      source.Row(y, group);
      sink.Pixels(y * width, group, width);
    }
    return;
  }
  if (is_whole_window(g, step.input, step.output)) {
    source.Row(0, group);
    const auto value = hn::Load(d, group);
    for (Index y = 0; y < step.input.height; ++y) {
      for (Index x = 0; x < width; ++x) hn::Store(value, d, group + x * n);  // sinks overwrite it
      sink.Pixels(y * width, group, width);
    }
    return;
  }
  const ToSink<D, Sink> consumer{d, group, width, &sink};
  WindowJob<hn::TFromD<D>> job{
      step.output, step.input, g, scratch, scratch + kNumRowBuffers * row_vectors * n, false};
  const Index reach = (g.kernel_size - 1) * g.dilation;
  if (g.stride == 1 && g.dilation == 1 && g.kernel_size <= 7 && reach >= g.pad_low) {
    job.geometry.pad_low = reach - g.pad_low;
    job.geometry.pad_high = step.input.width - step.output.width - job.geometry.pad_low + reach;
    if (job.geometry.pad_high >= 0) return WindowSums(d, job, source, consumer);
  }
  GeneralTransposed(d, step, job, source, consumer);
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
#endif
