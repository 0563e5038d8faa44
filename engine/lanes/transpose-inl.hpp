// Transposed window sums on lanes: from the adjoint of a step's output to T, the adjoint of what
// its windows sum. Included once per target.
//
// With stride 1 the transpose is a window sum again, its padding mirrored: the same fast path. T is
// handed to a consumer as all window sums are (window-inl.hpp).
#if defined(GRAMTILE_LANES_TRANSPOSE_INL_HPP_) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAMTILE_LANES_TRANSPOSE_INL_HPP_
#undef GRAMTILE_LANES_TRANSPOSE_INL_HPP_
#else
#define GRAMTILE_LANES_TRANSPOSE_INL_HPP_
#endif

#include "engine/lanes/reverse_step.hpp"
#include "engine/lanes/step-inl.hpp"

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

// A map handed over in groups of rows: sum(y, x), after prepare(first row, rows) of the group.
template <class D, class Consumer, class Prepare, class Sum>
HWY_INLINE void HandOverMap(D, const Consumer& consumer_, const MapShape& map,
                            const Prepare& prepare, const Sum& sum) {
  using V = hn::Vec<D>;
  const Consumer consumer = consumer_;
  for (Index y = 0; y < map.height; y += kGroupRows) {
    const Index rows = HWY_MIN(kGroupRows, map.height - y);
    prepare(y, rows);
    for (Index x = 0; x < map.width; ++x) {
      if (rows == kGroupRows) {
        const V sums[4] = {sum(y, x), sum(y + 1, x), sum(y + 2, x), sum(y + 3, x)};
        consumer.Column(y, x, 4, sums);
        continue;
      }
      for (Index k = 0; k < rows; ++k) {
        const V sums[1] = {sum(y + k, x)};
        consumer.Column(y + k, x, 1, sums);
      }
    }
    consumer.Rows(y, rows);
  }
  consumer.KeepTotals(consumer_);
}

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
  const auto nothing = [](Index, Index) {};
  HandOverMap(d, consumer, step.input, nothing, [&](Index y, Index x) HWY_ATTR {
    V sum = hn::Zero(d);
    for (Index i = 0; i < g.kernel_size && i * g.dilation <= y + g.pad_low; ++i) {
      const Index oy = output_of(y, i, step.output.height);
      if (oy >= 0) sum = hn::Add(sum, hn::Load(d, job.sums + (oy * width + x) * n));
    }
    return sum;
  });
}

template <class D>
HWY_INLINE WindowJob<hn::TFromD<D>> TransposedJobOf(D d, const ReverseStep& step, Index row_vectors,
                                                    hn::TFromD<D>* scratch, bool sums_ready) {
  const Index offset =
      (kNumRowBuffers * row_vectors + step.sums_offset) * static_cast<Index>(hn::Lanes(d));
  return {step.forward.output, step.forward.input, step.transposed, scratch,
          scratch + offset,    sums_ready};
}

// Runs T of one step into the consumer. `sums_ready`: the step before has left the adjoint summed
// along x; nothing is taken from the source then.
template <class D, class Consumer>
HWY_NOINLINE void Transposed(D d, const ReverseStep& step, Index row_vectors,
                             hn::TFromD<D>* scratch, bool sums_ready, const AdjointRows<D>& source,
                             const Consumer& consumer) {
  const Index n = static_cast<Index>(hn::Lanes(d));
  const LaneStep& f = step.forward;
  if (step.is_window) {
    const auto job = TransposedJobOf(d, step, row_vectors, scratch, sums_ready);
    return WindowSums(d, job, source, consumer);
  }
  if (f.pointwise()) {
    hn::TFromD<D>* const rows = scratch + row_vectors * n;  // kGroupRows of them
    const auto read = [&](Index y, Index count) HWY_ATTR {
      for (Index k = 0; k < count; ++k) source.Row(y + k, rows + k * row_vectors * n);
    };
    return HandOverMap(d, consumer, f.input, read, [&](Index y, Index x) HWY_ATTR {
      return hn::Load(d, rows + (y % kGroupRows * row_vectors + x) * n);
    });
  }
  if (is_whole_window(f.geometry, f.input, f.output)) {
    source.Row(0, scratch);
    const auto value = hn::Load(d, scratch);
    const auto nothing = [](Index, Index) {};
    return HandOverMap(d, consumer, f.input, nothing, [&](Index, Index) HWY_ATTR { return value; });
  }
  GeneralTransposed(d, f, TransposedJobOf(d, step, row_vectors, scratch, false), source, consumer);
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
#endif
