// Window sums on lanes: separable, all-ones, additions only. Included once per target.
//
//   source → rows of a group in a buffer → sums along x, a whole map of them → sums along y →
//   consumer
//
// A source gives any of its pixels:
//
//   source.Copy(pixels, count, to, step)        vector x · step of `to`: pixel pixels[x], x < count
//
// Sums along y are handed over a few rows at a time, pixel column by pixel column:
//
//   consumer.Column(first row, x, rows, sums)   sums[k]: row `first row` + k, k < rows, all in one
//                                               group; the others have no meaning
//   consumer.Rows(first row, rows)              after all columns of these rows
//   consumer.StartPart(x), .FirstPart(row), .LastPart(row), .Split()
//                                               of consumers that take the columns of a whole group
//                                               in two parts (next_sums-inl.hpp)
//   consumer.KeepTotals(original)               a loop works on a copy of the consumer, so that its
//                                               members stay in registers: gives totals back
//
// A consumer that makes rows of the next step's source of them sums those along x at once
// (forward-inl.hpp), so that a map between two layers is never stored.
//
// Neighbouring windows share most of their terms: four windows of K terms need K + 4 additions, two
// need K. No difference is ever taken: a black image gives exact zeros.
#if defined(GRAMTILE_LANES_WINDOW_INL_HPP_) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAMTILE_LANES_WINDOW_INL_HPP_
#undef GRAMTILE_LANES_WINDOW_INL_HPP_
#else
#define GRAMTILE_LANES_WINDOW_INL_HPP_
#endif

#include "engine/lanes/sums_along_x-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The first of `G` pixels of one column that a consumer is given. Four are a whole group.
template <int G>
HWY_INLINE Index FirstPixel(const MapShape& map, Index y, Index x) {
  return G == kGroupRows ? y * map.width + x * kGroupRows : pixel_row(map, y)[x];
}

// sums[k] = Σ_{i<K} a(k + i), k < G
//   four: core = a3 + … + a(K−1),  left = (a1+a2) + core,  right = core + (aK + a(K+1)),
//         sums = a0 + left, left + aK, a2 + right, right + a(K+2)
template <int K, int G, class Term, class V>
HWY_INLINE void SumAlongY(const Term& a, V (&sums)[G]) {
  static_assert(G == 2 || G == 4);
  // a(from) + … + a(K − 1), in pairs
  const auto core_from = [&](int from) HWY_ATTR {
    V core = (K - from) % 2 == 0 ? hn::Add(a(from), a(from + 1)) : a(from);
    HWY_UNROLL(4)
    for (int i = from + 2 - (K - from) % 2; i + 1 < K; i += 2)
      core = hn::Add(core, hn::Add(a(i), a(i + 1)));
    return core;
  };
  if constexpr (G == 2) {
    const V core = core_from(1);
    sums[0] = hn::Add(a(0), core);
    sums[1] = hn::Add(core, a(K));
  } else if constexpr (K == 2) {
    HWY_UNROLL(4)
    for (int k = 0; k < 4; ++k) sums[k] = hn::Add(a(k), a(k + 1));
  } else {
    V left = hn::Add(a(1), a(2)), right = hn::Add(a(K), a(K + 1));
    if constexpr (K > 3) {
      const V core = core_from(3);
      left = hn::Add(left, core);
      right = hn::Add(core, right);
    }
    sums[0] = hn::Add(a(0), left);
    sums[1] = hn::Add(left, a(K));
    sums[2] = hn::Add(a(2), right);
    sums[3] = hn::Add(right, a(K + 2));
  }
}

// Columns from, …, to − 1 of rows y, …, y + rows − 1 of sums along y, of sums along x.
template <int K, int G, class D, class Consumer>
HWY_NOINLINE void SumRowsAlongY(D d, const SumsAlongX<K, D>& along_x, Index from, Index to,
                                const Consumer& consumer_, Index y, Index rows) {
  Consumer consumer = consumer_;  // its members in registers
  if constexpr (requires { consumer.StartPart(from); }) consumer.StartPart(from);
  const Index n = static_cast<Index>(hn::Lanes(d)), count = to - from;
  const hn::TFromD<D>* terms[K + G - 1];
  HWY_UNROLL(16)
  for (int i = 0; i < K + G - 1; ++i) {
    terms[i] = along_x.RowOrZeros(y + i - along_x.low) + from * n;
  }
  for (Index x = 0; x < count; ++x) {  // from 0: loops from elsewhere take more registers
    hn::Vec<D> sums[G];
    const auto term = [&](int i) HWY_ATTR { return hn::Load(d, terms[i] + x * n); };
    SumAlongY<K>(term, sums);
    consumer.Column(y, from + x, G == kGroupRows ? G : rows, sums);
  }
  consumer.KeepTotals(consumer_);
}

// Sums along y of a whole group of rows.
template <int K, class D, class Consumer>
HWY_INLINE void SumGroupAlongY(D d, const SumsAlongX<K, D>& along_x, Index width,
                               const Consumer& consumer, Index y) {
  if constexpr (requires { consumer.Split(); }) {
    if (const Index split = consumer.Split(); split > 0) {
      SumRowsAlongY<K, 4>(d, along_x, 0, split, consumer, y, 4);
      consumer.FirstPart(y);
      SumRowsAlongY<K, 4>(d, along_x, split, width, consumer, y, 4);
      return consumer.LastPart(y);
    }
  }
  SumRowsAlongY<K, 4>(d, along_x, 0, width, consumer, y, 4);
  consumer.Rows(y, 4);
}

// Rows y, …, y + count − 1 of a source, a whole group, column by column.
template <class D, class Source>
HWY_INLINE void CopyGroup(D d, const Source& source, const MapShape& shape, Index y, Index count,
                          hn::TFromD<D>* to) {
  if (count == kGroupRows) {
    return source.Copy({y * shape.width, 1}, kGroupRows * shape.width, to, 1);
  }
  for (Index k = 0; k < count; ++k) {
    source.Copy(pixel_row(shape, y + k), shape.width, to + k * static_cast<Index>(hn::Lanes(d)),
                kGroupRows);
  }
}

// Stride 1, dilation 1, K known.
template <int K, class D, class Source, class Consumer>
HWY_NOINLINE void UnitWindows(D d, const WindowJob<hn::TFromD<D>>& job, const Source& source,
                              const Consumer& consumer) {
  const Index n = static_cast<Index>(hn::Lanes(d));
  const SumsAlongX<K, D> sums(d, job);
  Index produced = job.sums_ready ? job.input.height : 0;
  if (!job.sums_ready) sums.ZeroEnds(job.rows);
  for (Index y = 0; y < job.output.height; y += kGroupRows) {
    const Index needed = HWY_MIN(job.input.height, y + kGroupRows + K - 1 - sums.low);
    for (; produced < needed; produced += kGroupRows) {
      const Index count = HWY_MIN(kGroupRows, job.input.height - produced);
      CopyGroup(d, source, job.input, produced, count, job.rows + sums.low * kGroupRows * n);
      sums.Sum(job.rows, produced, count, 0, sums.width);
    }
    const Index rows = HWY_MIN(kGroupRows, job.output.height - y), width = job.output.width;
    if (rows == kGroupRows) {
      SumGroupAlongY(d, sums, width, consumer, y);
      continue;
    }
    SumRowsAlongY<K, 2>(d, sums, 0, width, consumer, y, HWY_MIN(rows, 2));
    if (rows == 3) SumRowsAlongY<K, 2>(d, sums, 0, width, consumer, y + 2, 1);
    consumer.Rows(y, rows);
  }
}

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

// No window: every pixel of the source is the sum at its place.
template <class D, class Source, class Consumer>
HWY_INLINE void SinglePixels(D d, const MapShape& shape, hn::TFromD<D>* rows, const Source& source,
                             const Consumer& consumer) {
  const Index n = static_cast<Index>(hn::Lanes(d));
  const auto copy = [&](Index y, Index count)
                        HWY_ATTR { CopyGroup(d, source, shape, y, count, rows); };
  HandOverMap(d, consumer, shape, copy, [&](Index y, Index x) HWY_ATTR {
    return hn::Load(d, rows + (x * kGroupRows + y % kGroupRows) * n);
  });
}

// Rows the ring holds in the general case: all that one output row needs.
constexpr Index GeneralRingRows(const WindowGeometry& g, Index height) {
  return HWY_MIN((g.kernel_size - 1) * g.dilation + 1, height);
}

// One row handed over pixel by pixel: sum(x).
template <class D, class Consumer, class Sum>
HWY_INLINE void HandOverRow(D, const Consumer& consumer, Index y, Index width, const Sum& sum) {
  for (Index x = 0; x < width; ++x) {
    const hn::Vec<D> sums[1] = {sum(x)};
    consumer.Column(y, x, 1, sums);
  }
  consumer.Rows(y, 1);
}

// Σ of the terms of one window along an axis that are inside it: terms first, first + dilation, …
template <class D, class Term>
HWY_INLINE hn::Vec<D> ClippedSum(D d, const WindowGeometry& g, Index first, Index extent,
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
template <int K, class D, class Source, class Consumer>
void GeneralWindows(D d, const WindowJob<hn::TFromD<D>>& job, const Source& source,
                    const Consumer& consumer) {
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
    const Index first = oy * g.stride - g.pad_low;
    const Index needed = HWY_MIN(job.input.height, first + (g.kernel_size - 1) * g.dilation + 1);
    for (; produced < needed; ++produced) {
      if (K == 1 && produced < first) continue;  // between windows
      const PixelRow pixels = pixel_row(job.input, produced);
      T* to = ring_row(produced);
      if (K == 1 && g.pad_low == 0 && inside((width - 1) * g.stride, job.input.width)) {
        source.Copy({pixels.first, pixels.step * g.stride}, width, to, 1);
        continue;
      }
      source.Copy(pixels, job.input.width, job.rows, 1);
      for (Index ox = 0; ox < width; ++ox) {
        const Index x0 = ox * g.stride - g.pad_low;
        V sum;
        if (inside(x0, job.input.width)) {
          sum = hn::Load(d, job.rows + x0 * lanes);
          HWY_UNROLL(4)
          for (int i = 1; i < K; ++i) sum = hn::Add(sum, hn::Load(d, job.rows + (x0 + i) * lanes));
        } else {
          sum = ClippedSum(d, g, x0, job.input.width,
                           [&](Index x) HWY_ATTR { return hn::Load(d, job.rows + x * lanes); });
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
        return ClippedSum(d, g, first, job.input.height,
                          [&](Index y) HWY_ATTR { return hn::Load(d, ring_row(y) + x * lanes); });
      });
    }
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
template <class D, class Source, class Consumer>
HWY_INLINE void WholeWindow(D d, const WindowJob<hn::TFromD<D>>& job, const Source& source,
                            const Consumer& consumer) {
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

template <class D, class Source, class Consumer>
HWY_INLINE void WindowSums(D d, const WindowJob<hn::TFromD<D>>& job, const Source& source,
                           const Consumer& consumer) {
  const WindowGeometry& g = job.geometry;
  if (is_whole_window(g, job.input, job.output)) return WholeWindow(d, job, source, consumer);
  if (!is_unit_window(g)) {
    if (g.dilation == 1 && g.kernel_size == 1) return GeneralWindows<1>(d, job, source, consumer);
    if (g.dilation == 1 && g.kernel_size == 3) return GeneralWindows<3>(d, job, source, consumer);
    return GeneralWindows<0>(d, job, source, consumer);
  }
  if (g.kernel_size == 2) return UnitWindows<2>(d, job, source, consumer);
  if (g.kernel_size == 3) return UnitWindows<3>(d, job, source, consumer);
  if (g.kernel_size == 4) return UnitWindows<4>(d, job, source, consumer);
  if (g.kernel_size == 5) return UnitWindows<5>(d, job, source, consumer);
  UnitWindows<7>(d, job, source, consumer);
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
#endif
