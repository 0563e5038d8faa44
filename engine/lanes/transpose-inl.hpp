// Transposed window sums on lanes: from the adjoint of a step's output to T, the adjoint of what
// its windows sum. Included once per target.
//
// With stride 1 the transpose is a window sum again, its padding mirrored: the same fast path. T is
// handed to a consumer as all window sums are (window-inl.hpp).
#pragma once

#include "engine/lanes/reverse_step.hpp"
#include "engine/lanes/step-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The adjoint of a step's output as a source; on the way its sum, its product with the addend, and
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
  mutable V sum, addend_sum;

  HWY_INLINE void Copy(const PixelRow& pixels, Index count, T* to, Index step) const {
    const Index n = static_cast<Index>(hn::Lanes(d));
    Take(pixels, count, [&](Index x) HWY_ATTR {
      const V a = hn::Load(d, adjoint + pixels[x] * n);
      hn::Store(a, d, to + x * step * n);
      return a;
    });
  }

  // Not where the addend's adjoint is written over the step's.
  HWY_INLINE const T* InPlace(const PixelRow& pixels, Index count) const {
    if (addend_adjoint == adjoint) return nullptr;
    const Index n = static_cast<Index>(hn::Lanes(d));
    Take(pixels, count, [&](Index x) HWY_ATTR { return hn::Load(d, adjoint + pixels[x] * n); });
    return adjoint + pixels.first * n;
  }

  // Adds up value(x), the adjoint of pixel pixels[x], and gives the addend its part.
  template <class Value>
  HWY_INLINE void Take(const PixelRow& pixels, Index count, const Value& value) const {
    V totals[4] = {sum, hn::Zero(d), hn::Zero(d), hn::Zero(d)};  // one chain would be too slow
    Index x = 0;
    for (; x + 4 <= count; x += 4) {
      HWY_UNROLL(4)
      for (int k = 0; k < 4; ++k) totals[k] = hn::Add(totals[k], value(x + k));
    }
    for (; x < count; ++x) totals[0] = hn::Add(totals[0], value(x));
    sum = hn::Add(hn::Add(totals[0], totals[1]), hn::Add(totals[2], totals[3]));
    if (addend_adjoint != nullptr) Addend(pixels, count);
  }

  HWY_NOINLINE void Addend(const PixelRow& pixels, Index count) const {
    const Index n = static_cast<Index>(hn::Lanes(d));
    for (Index x = 0; x < count; ++x) {
      const Index i = pixels[x] * n;
      const V a = hn::Load(d, adjoint + i);
      if (addend != nullptr) addend_sum = hn::MulAdd(a, hn::Load(d, addend + i), addend_sum);
      V value = hn::Mul(a, hn::Set(d, addend_weight));
      if (!addend_first) value = hn::Add(value, hn::Load(d, addend_adjoint + i));
      hn::Store(value, d, addend_adjoint + i);
    }
  }
};

// do_it(o, x) for every output o of `size` of an axis whose windows have input x of `extent` as
// their tap i.
template <class Do>
HWY_INLINE void ForTap(const WindowAxis& g, bool circular, Index i, Index size, Index extent,
                       const Do& do_it) {
  const Index shift = i * g.dilation - g.pad_low;
  if (circular) {
    RoundTrip x(shift, g.stride, extent);
    for (Index o = 0; o < size; ++o, ++x) do_it(o, *x);
    return;
  }
  Index o = shift < 0 ? (-shift + g.stride - 1) / g.stride : 0;
  for (Index x = o * g.stride + shift; o < size && x < extent; ++o, x += g.stride) do_it(o, x);
}

// The sums along x of one row of adjoints, tap by tap.
template <class D>
HWY_NOINLINE void TransposeAlongX(D d, const LaneStep& step, const hn::TFromD<D>* row,
                                  hn::TFromD<D>* sums) {
  const Index n = static_cast<Index>(hn::Lanes(d)), width = step.input.width;
  ZeroFill(d, sums, width);
  const WindowGeometry& g = step.geometry;
  for (Index i = 0; i < g.x.kernel_size; ++i) {
    ForTap(g.x, g.circular, i, step.output.width, width, [&](Index o, Index x) HWY_ATTR {
      hn::TFromD<D>* const to = sums + x * n;
      hn::Store(hn::Add(hn::Load(d, to), hn::Load(d, row + o * n)), d, to);
    });
  }
}

// Columns from, …, to − 1 of input row y, summed along y; `sums` is a column of a group's buffer.
template <class D>
HWY_INLINE void TransposeAlongY(D d, const LaneStep& step, const hn::TFromD<D>* along_x, Index y,
                                Index from, Index to, hn::TFromD<D>* sums) {
  const Index n = static_cast<Index>(hn::Lanes(d)), count = to - from;
  const WindowAxis& g = step.geometry.y;
  const bool circular = step.geometry.circular;
  const auto sum_at = [&](Index x) HWY_ATTR { return sums + x * kGroupRows * n; };
  for (Index x = 0; x < count; ++x) hn::Store(hn::Zero(d), d, sum_at(x));
  for (Index i = 0; i < g.kernel_size && (circular || i * g.dilation <= y + g.pad_low); ++i) {
    // Of windows that go round, too, one at most has row y as its tap i: they start pixels apart
    // that are fewer than the map has.
    const Index place = y + g.pad_low - i * g.dilation;
    const Index at = circular ? wrapped(place, step.input.height) : place, oy = at / g.stride;
    if (at % g.stride != 0 || oy >= step.output.height) continue;
    const hn::TFromD<D>* const row = along_x + (oy * step.input.width + from) * n;
    for (Index x = 0; x < count; ++x) {
      hn::Store(hn::Add(hn::Load(d, sum_at(x)), hn::Load(d, row + x * n)), d, sum_at(x));
    }
  }
}

// Any geometry: input pixel x of an axis is tap i of outputs o = (x + low − i·dilation)/stride that
// are whole and inside. Sums along x of every output row are kept, then summed along y.
template <class D>
HWY_NOINLINE void GeneralTransposed(D d, const LaneStep& step, const WindowJob<hn::TFromD<D>>& job,
                                    const SourceHandle<D>& source,
                                    const ConsumerHandle<D>& consumer) {
  const Index n = static_cast<Index>(hn::Lanes(d));
  const MapShape& map = step.input;
  for (Index oy = 0; oy < step.output.height; ++oy) {
    source.Copy(pixel_row(step.output, oy), step.output.width, job.rows, 1);
    TransposeAlongX(d, step, job.rows, job.sums + oy * map.width * n);
  }
  SumsBuffer<D> buffer;
  for (Index y = 0; y < map.height; y += kGroupRows) {
    const Index rows = HWY_MIN(kGroupRows, map.height - y);
    ForColumns(0, map.width, [&](Index first, Index end) HWY_ATTR {
      for (Index k = 0; k < rows; ++k)
        TransposeAlongY(d, step, job.sums, y + k, first, end, buffer.sums + k * n);
      HandOverColumns(consumer, y, rows, first, end, buffer.sums);
    });
    consumer.Rows(y, rows);
  }
}

template <class D>
HWY_INLINE WindowJob<hn::TFromD<D>> TransposedJobOf(D d, const ReverseStep& step, Index row_vectors,
                                                    hn::TFromD<D>* scratch) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const auto at = [&](Index vectors) HWY_ATTR { return scratch + vectors * lanes; };
  return {step.forward.output,
          step.forward.input,
          step.transposed,
          scratch,
          at(kZeroRow * row_vectors),
          at(kNumRowBuffers * row_vectors + step.sums_offset),
          step.sums_ready};
}

// Runs T of one step into the consumer. Nothing is taken from the source of a step whose sums along
// x are there (ReverseStep::sums_ready).
template <class D>
HWY_NOINLINE void Transposed(D d, const ReverseStep& step, Index row_vectors,
                             hn::TFromD<D>* scratch, const AdjointRows<D>& rows,
                             const ConsumerHandle<D>& consumer) {
  const SourceHandle<D> source = SourceOf(d, rows);
  const LaneStep& f = step.forward;
  if (step.is_window) {
    const auto job = TransposedJobOf(d, step, row_vectors, scratch);
    return WindowSums(d, job, source, consumer);
  }
  if (f.pointwise()) return SinglePixels(d, f.input, scratch, source, consumer);
  if (is_whole_window(f.geometry, f.input, f.output)) {
    source.Copy({0, 1}, 1, scratch, 1);
    const auto value = hn::Load(d, scratch);
    return HandOverMap(d, consumer, f.input, [&](Index, Index) HWY_ATTR { return value; });
  }
  GeneralTransposed(d, f, TransposedJobOf(d, step, row_vectors, scratch), source, consumer);
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
