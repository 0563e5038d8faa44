// Window sums on lanes: separable, all-ones, additions only. Included once per target.
//
//   source → rows of a group in a buffer → sums along x, a whole map of them → sums along y →
//   consumer
//
// Sources and consumers are known by their handles alone (handles-inl.hpp).
//
// A consumer that makes rows of the next step's source of them sums those along x at once
// (forward-inl.hpp), so that a map between two layers is never stored.
//
// Neighbouring windows share most of their terms: four windows of K terms need K + 4 additions, two
// need K. No difference is ever taken: a black image gives exact zeros.
#pragma once

#include "engine/lanes/handles-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Room for the sums of kColumnsAtOnce columns of a group.
template <class D>
struct SumsBuffer {
  alignas(64) hn::TFromD<D> sums[kColumnsAtOnce * kGroupRows * hn::MaxLanes(D())];
};

// do_it(first, end) for columns from, …, to − 1, as many at a time as a buffer holds.
template <class Do>
HWY_INLINE void ForColumns(Index from, Index to, const Do& do_it) {
  for (Index x = from; x < to; x += kColumnsAtOnce) do_it(x, HWY_MIN(x + kColumnsAtOnce, to));
}

// Sums along y of G rows from y on, into a buffer.
template <int K, int G, class D>
HWY_NOINLINE void SumIntoBuffer(D d, const RowsAlongX<D>& along_x, Index from, Index to, Index y,
                                hn::TFromD<D>* sums) {
  const Index n = static_cast<Index>(hn::Lanes(d));
  SumColumns<K, G>(d, along_x, from, to, y, [&](Index x, const hn::Vec<D>(&values)[G]) HWY_ATTR {
    for (int k = 0; k < G; ++k) hn::Store(values[k], d, sums + ((x - from) * kGroupRows + k) * n);
  });
}

// Columns from, …, to − 1 of a whole group, a part of it that starts at `from`.
template <int K, class D>
HWY_INLINE void HandOverPart(D d, const RowsAlongX<D>& along_x, Index from, Index to,
                             const ConsumerHandle<D>& consumer, Index y) {
  if (const auto fused = consumer.loops->fused[UnitIndex<K>()]; fused != nullptr) {
    return fused(consumer.consumer, along_x, from, to, y);
  }
  SumsBuffer<D> buffer;
  ForColumns(from, to, [&](Index first, Index end) HWY_ATTR {
    SumIntoBuffer<K, kGroupRows>(d, along_x, first, end, y, buffer.sums);
    consumer.loops->group(consumer.consumer, y, from, first, end, buffer.sums);
  });
}

// Sums along y of a whole group of rows.
template <int K, class D>
HWY_INLINE void HandOverGroup(D d, const RowsAlongX<D>& along_x, Index width,
                              const ConsumerHandle<D>& consumer, Index y) {
  const Index split = consumer.loops->split(consumer.consumer);
  if (split > 0) {
    HandOverPart<K>(d, along_x, 0, split, consumer, y);
    consumer.loops->first_part(consumer.consumer, y);
    HandOverPart<K>(d, along_x, split, width, consumer, y);
    return consumer.loops->last_part(consumer.consumer, y);
  }
  HandOverPart<K>(d, along_x, 0, width, consumer, y);
  consumer.Rows(y, kGroupRows);
}

// Of 1 to 3 rows, the last ones of a map.
template <int K, class D>
HWY_INLINE void HandOverRest(D d, const RowsAlongX<D>& along_x, Index width,
                             const ConsumerHandle<D>& consumer, Index y, Index rows) {
  SumsBuffer<D> buffer;
  for (Index k = 0; k < rows; k += 2) {
    ForColumns(0, width, [&](Index first, Index end) HWY_ATTR {
      SumIntoBuffer<K, 2>(d, along_x, first, end, y + k, buffer.sums);
      consumer.loops->pair(consumer.consumer, y + k, HWY_MIN(rows - k, 2), first, end, buffer.sums);
    });
  }
  consumer.Rows(y, rows);
}

// Rows y, …, y + count − 1 of a source, a whole group, column by column.
template <class D>
HWY_INLINE void CopyGroup(D d, const SourceHandle<D>& source, const MapShape& shape, Index y,
                          Index count, hn::TFromD<D>* to) {
  if (count == kGroupRows) {
    return source.Copy({y * shape.width, 1}, kGroupRows * shape.width, to, 1);
  }
  for (Index k = 0; k < count; ++k) {
    source.Copy(pixel_row(shape, y + k), shape.width, to + k * static_cast<Index>(hn::Lanes(d)),
                kGroupRows);
  }
}

// Stride 1, dilation 1, sizes known; K: along y.
template <int K, class D>
HWY_NOINLINE void UnitWindows(D d, const WindowJob<hn::TFromD<D>>& job,
                              const SourceHandle<D>& source, const ConsumerHandle<D>& consumer) {
  const Index n = static_cast<Index>(hn::Lanes(d));
  const RowSums<D> sums(d, job);
  Index produced = job.sums_ready ? job.input.height : 0;
  if (!job.sums_ready) sums.ZeroEnds(job.rows);
  for (Index y = 0; y < job.output.height; y += kGroupRows) {
    // Where rows go round, the first windows need the last row.
    const Index needed = sums.circular
                             ? job.input.height
                             : HWY_MIN(job.input.height, y + kGroupRows + K - 1 - sums.low);
    for (; produced < needed; produced += kGroupRows) {
      const Index count = HWY_MIN(kGroupRows, job.input.height - produced);
      CopyGroup(d, source, job.input, produced, count, job.rows + sums.Low() * kGroupRows * n);
      sums.WrapEnds(job.rows);
      sums.Sum(job.rows, produced, count, 0, sums.width);
    }
    const Index rows = HWY_MIN(kGroupRows, job.output.height - y), width = job.output.width;
    if (rows == kGroupRows) {
      HandOverGroup<K>(d, sums, width, consumer, y);
    } else {
      HandOverRest<K>(d, sums, width, consumer, y, rows);
    }
  }
}

// Columns of a group, or of fewer rows, from a buffer.
template <class D>
HWY_INLINE void HandOverColumns(const ConsumerHandle<D>& consumer, Index y, Index rows, Index from,
                                Index to, const hn::TFromD<D>* sums) {
  if (rows == kGroupRows) {
    consumer.loops->group(consumer.consumer, y, 0, from, to, sums);
  } else {
    consumer.loops->pixels(consumer.consumer, y, rows, from, to, sums);
  }
}

// A map handed over in groups of rows: sum(y, x).
template <class D, class Sum>
HWY_INLINE void HandOverMap(D d, const ConsumerHandle<D>& consumer, const MapShape& map,
                            const Sum& sum) {
  const Index n = static_cast<Index>(hn::Lanes(d));
  SumsBuffer<D> buffer;
  for (Index y = 0; y < map.height; y += kGroupRows) {
    const Index rows = HWY_MIN(kGroupRows, map.height - y);
    ForColumns(0, map.width, [&](Index first, Index end) HWY_ATTR {
      for (Index x = first; x < end; ++x) {
        for (Index k = 0; k < rows; ++k) {
          hn::Store(sum(y + k, x), d, buffer.sums + ((x - first) * kGroupRows + k) * n);
        }
      }
      HandOverColumns(consumer, y, rows, first, end, buffer.sums);
    });
    consumer.Rows(y, rows);
  }
}

// No window: every pixel of the source is the sum at its place.
template <class D>
HWY_NOINLINE void SinglePixels(D d, const MapShape& shape, hn::TFromD<D>* buffer,
                               const SourceHandle<D>& source, const ConsumerHandle<D>& consumer) {
  for (Index y = 0; y < shape.height; y += kGroupRows) {
    const Index rows = HWY_MIN(kGroupRows, shape.height - y);
    const hn::TFromD<D>* sums = nullptr;
    if (rows == kGroupRows) sums = source.InPlace({y * shape.width, 1}, kGroupRows * shape.width);
    if (sums == nullptr) {
      CopyGroup(d, source, shape, y, rows, buffer);
      sums = buffer;
    }
    HandOverColumns(consumer, y, rows, 0, shape.width, sums);
    consumer.Rows(y, rows);
  }
}

// Rows the ring holds in the general case: all that one output row needs.
constexpr Index GeneralRingRows(const WindowGeometry& g, Index height) {
  return HWY_MIN(g.y.reach() + 1, height);
}

// One row handed over pixel by pixel: sum(x).
template <class D, class Sum>
HWY_INLINE void HandOverRow(D d, const ConsumerHandle<D>& consumer, Index y, Index width,
                            const Sum& sum) {
  const Index n = kGroupRows * static_cast<Index>(hn::Lanes(d));
  SumsBuffer<D> buffer;
  ForColumns(0, width, [&](Index first, Index end) HWY_ATTR {
    for (Index x = first; x < end; ++x) hn::Store(sum(x), d, buffer.sums + (x - first) * n);
    consumer.loops->pixels(consumer.consumer, y, 1, first, end, buffer.sums);
  });
  consumer.Rows(y, 1);
}

// Σ of the terms of one window along an axis that are inside it: terms first, first + dilation, …
template <class D, class Term>
HWY_INLINE hn::Vec<D> ClippedSum(D d, const WindowAxis& g, Index first, Index extent,
                                 const Term& term) {
  hn::Vec<D> sum = hn::Zero(d);
  const Index skip = first < 0 ? (-first + g.dilation - 1) / g.dilation : 0;
  for (Index i = skip, x = first + skip * g.dilation; i < g.kernel_size && x < extent;
       ++i, x += g.dilation) {
    sum = hn::Add(sum, term(x));
  }
  return sum;
}

// Any geometry: kernel_size additions a sum and axis; rows outside the image are left out. K: the
// kernel's size where it is known and nothing is dilated, else 0; windows inside the image then
// take no more than their additions.
template <int K, class D>
HWY_NOINLINE void GeneralWindows(D d, const WindowJob<hn::TFromD<D>>& job,
                                 const SourceHandle<D>& source, const ConsumerHandle<D>& consumer) {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const WindowGeometry& g = job.geometry;
  const Index ring_rows = GeneralRingRows(g, job.input.height);
  const Index width = job.output.width;
  const auto ring_row = [&](Index y) HWY_ATTR { return job.sums + y % ring_rows * width * lanes; };
  const auto inside = [&](Index first, Index extent)
                          HWY_ATTR { return K > 0 && first >= 0 && first + K <= extent; };

  Index produced = 0;
  for (Index oy = 0; oy < job.output.height; ++oy) {
    const Index first = oy * g.y.stride - g.y.pad_low;
    const Index needed = HWY_MIN(job.input.height, first + g.y.reach() + 1);
    for (; produced < needed; ++produced) {
      if (K == 1 && produced < first) continue;  // between windows
      const PixelRow pixels = pixel_row(job.input, produced);
      T* to = ring_row(produced);
      if (K == 1 && g.x.pad_low == 0 && inside((width - 1) * g.x.stride, job.input.width)) {
        source.Copy({pixels.first, pixels.step * g.x.stride}, width, to, 1);
        continue;
      }
      const T* row = source.InPlace(pixels, job.input.width);
      Index step = pixels.step * lanes;
      if (row == nullptr) {
        source.Copy(pixels, job.input.width, job.rows, 1);
        row = job.rows;
        step = lanes;
      }
      for (Index ox = 0; ox < width; ++ox) {
        const Index x0 = ox * g.x.stride - g.x.pad_low;
        V sum;
        if (inside(x0, job.input.width)) {
          sum = hn::Load(d, row + x0 * step);
          HWY_UNROLL(4)
          for (int i = 1; i < K; ++i) sum = hn::Add(sum, hn::Load(d, row + (x0 + i) * step));
        } else {
          sum = ClippedSum(d, g.x, x0, job.input.width,
                           [&](Index x) HWY_ATTR { return hn::Load(d, row + x * step); });
        }
        hn::Store(sum, d, to + ox * lanes);
      }
    }
    if (inside(first, job.input.height)) {
      const T* rows[HWY_MAX(K, 1)];
      for (int i = 0; i < K; ++i) rows[i] = ring_row(first + i);
      HandOverRow(d, consumer, oy, width, [&](Index x) HWY_ATTR {
        V sum = hn::Load(d, rows[0] + x * lanes);
        HWY_UNROLL(4)
        for (int i = 1; i < K; ++i) sum = hn::Add(sum, hn::Load(d, rows[i] + x * lanes));
        return sum;
      });
    } else {
      HandOverRow(d, consumer, oy, width, [&](Index x) HWY_ATTR {
        return ClippedSum(d, g.y, first, job.input.height,
                          [&](Index y) HWY_ATTR { return hn::Load(d, ring_row(y) + x * lanes); });
      });
    }
  }
}

// Positions on an axis that goes round, some pixels a step.
class RoundTrip {
 public:
  HWY_INLINE RoundTrip(Index first, Index step, Index extent)
      : at_(wrapped(first, extent)), step_(step % extent), extent_(extent) {}
  // The same from a position on the axis.
  HWY_INLINE RoundTrip From(Index at) const {
    RoundTrip trip = *this;
    trip.at_ = at;
    return trip;
  }
  HWY_INLINE Index operator*() const { return at_; }
  HWY_INLINE RoundTrip& operator++() {
    at_ += step_;
    if (at_ >= extent_) at_ -= extent_;
    return *this;
  }

 private:
  Index at_, step_, extent_;
};

// Σ term(position) of the `kernel_size` taps that begin a trip.
template <class D, class Term>
HWY_INLINE hn::Vec<D> WrappedSum(D d, RoundTrip taps, Index kernel_size, const Term& term) {
  hn::Vec<D> sum = hn::Zero(d);
  for (Index i = 0; i < kernel_size; ++i, ++taps) sum = hn::Add(sum, term(*taps));
  return sum;
}

// Any geometry that goes round: all rows are summed along x before the first along y.
template <class D>
HWY_NOINLINE void CircularWindows(D d, const WindowJob<hn::TFromD<D>>& job,
                                  const SourceHandle<D>& source,
                                  const ConsumerHandle<D>& consumer) {
  const Index lanes = static_cast<Index>(hn::Lanes(d)), width = job.output.width;
  const WindowAxis &gy = job.geometry.y, &gx = job.geometry.x;
  for (Index y = 0; y < job.input.height; ++y) {
    source.Copy(pixel_row(job.input, y), job.input.width, job.rows, 1);
    RoundTrip first(-gx.pad_low, gx.stride, job.input.width);
    const RoundTrip taps(0, gx.dilation, job.input.width);
    for (Index ox = 0; ox < width; ++ox, ++first) {
      const auto sum = WrappedSum(d, taps.From(*first), gx.kernel_size, [&](Index x) HWY_ATTR {
        return hn::Load(d, job.rows + x * lanes);
      });
      hn::Store(sum, d, job.sums + (y * width + ox) * lanes);
    }
  }
  for (Index oy = 0; oy < job.output.height; ++oy) {
    const RoundTrip taps(oy * gy.stride - gy.pad_low, gy.dilation, job.input.height);
    HandOverRow(d, consumer, oy, width, [&](Index x) HWY_ATTR {
      return WrappedSum(d, taps, gy.kernel_size, [&](Index y) HWY_ATTR {
        return hn::Load(d, job.sums + (y * width + x) * lanes);
      });
    });
  }
}

// Σ of a row, four sums at a time.
template <class D>
HWY_INLINE hn::Vec<D> RowSum(D d, const hn::TFromD<D>* row, Index step, Index width) {
  const Index lanes = step * static_cast<Index>(hn::Lanes(d));
  hn::Vec<D> sums[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
  Index x = 0;
  for (; x + 4 <= width; x += 4) {
    HWY_UNROLL(4)
    for (int i = 0; i < 4; ++i) sums[i] = hn::Add(sums[i], hn::Load(d, row + (x + i) * lanes));
  }
  for (; x < width; ++x) sums[0] = hn::Add(sums[0], hn::Load(d, row + x * lanes));
  return hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3]));
}

// One window over the whole map, row by row.
template <class D>
HWY_NOINLINE void WholeWindow(D d, const WindowJob<hn::TFromD<D>>& job,
                              const SourceHandle<D>& source, const ConsumerHandle<D>& consumer) {
  hn::Vec<D> total = hn::Zero(d);
  if (job.sums_ready) {
    total = hn::Load(d, job.sums);
  } else {
    for (Index y = 0; y < job.input.height; ++y) {
      source.Copy(pixel_row(job.input, y), job.input.width, job.rows, 1);
      total = hn::Add(total, RowSum(d, job.rows, 1, job.input.width));
    }
  }
  HandOverRow(d, consumer, 0, 1, [&](Index) HWY_ATTR { return total; });
}

template <class D>
HWY_NOINLINE void WindowSums(D d, const WindowJob<hn::TFromD<D>>& job,
                             const SourceHandle<D>& source, const ConsumerHandle<D>& consumer) {
  const WindowGeometry& g = job.geometry;
  if (is_whole_window(g, job.input, job.output)) return WholeWindow(d, job, source, consumer);
  if (!is_unit_window(g)) {
    if (g.circular) return CircularWindows(d, job, source, consumer);
    const bool dilated = g.y.dilation > 1 || g.x.dilation > 1;
    const auto is_square = [&](Index k)
                               HWY_ATTR { return g.y.kernel_size == k && g.x.kernel_size == k; };
    if (!dilated && is_square(1)) return GeneralWindows<1>(d, job, source, consumer);
    if (!dilated && is_square(3)) return GeneralWindows<3>(d, job, source, consumer);
    return GeneralWindows<0>(d, job, source, consumer);
  }
  const Index k = g.y.kernel_size;
  if (k == 2) return UnitWindows<2>(d, job, source, consumer);
  if (k == 3) return UnitWindows<3>(d, job, source, consumer);
  if (k == 4) return UnitWindows<4>(d, job, source, consumer);
  if (k == 5) return UnitWindows<5>(d, job, source, consumer);
  UnitWindows<7>(d, job, source, consumer);
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
