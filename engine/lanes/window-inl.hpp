// Window sums on lanes: separable, all-ones, additions only. Included once per target.
//
//   source.Row(y) → row buffer → sums along x, a whole map of them → sums along y → consumer
//
// Sums along y are handed over a few rows at a time, pixel column by pixel column:
//
//   consumer.Column(first row, x, rows, sums)   sums[k]: row `first row` + k, k < rows; the others
//                                               have no meaning
//   consumer.Rows(first row, rows)              after all columns of these rows
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

#include "engine/lanes/lane_step.hpp"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// One window sum to do: shapes and geometry of a step, and its buffers.
template <class T>
struct WindowJob {
  MapShape input, output;
  WindowGeometry geometry;
  T* row;           // a padded row of the source
  T* sums;          // source rows summed along x; unit windows: with rows of zeros around them
  bool sums_ready;  // the step before has left them there
};

template <class D>
HWY_INLINE void ZeroFill(D d, hn::TFromD<D>* to, Index num_vectors) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  for (Index i = 0; i < num_vectors; ++i) hn::Store(hn::Zero(d), d, to + i * lanes);
}

// to[x] = Σ_{i<K} row[x + i] for x < width, width even.
//   core = a1 + … + a(K−1) in pairs,  to[0] = a0 + core,  to[1] = core + aK
template <int K, class D>
HWY_NOINLINE void SumAlongX(D d, const hn::TFromD<D>* HWY_RESTRICT row,
                            hn::TFromD<D>* HWY_RESTRICT to, Index width) {
  using V = hn::Vec<D>;
  constexpr int kNumPairs = (K - 1) / 2;
  const Index n = static_cast<Index>(hn::Lanes(d));
  V pair[kNumPairs + 1];  // pair[i] = a(1+2i) + a(2+2i), kept from one couple to the next
  HWY_UNROLL(8)
  for (int i = 0; i + 1 < kNumPairs; ++i) {
    pair[i] = hn::Add(hn::Load(d, row + (1 + 2 * i) * n), hn::Load(d, row + (2 + 2 * i) * n));
  }
  for (Index x = 0; x < width * n; x += 2 * n) {
    V core = hn::Load(d, row + x + (K - 1) * n);
    if constexpr (kNumPairs > 0) {
      constexpr int kLast = kNumPairs - 1;
      pair[kLast] = hn::Add(hn::Load(d, row + x + (1 + 2 * kLast) * n),
                            hn::Load(d, row + x + (2 + 2 * kLast) * n));
      core = K % 2 == 0 ? hn::Add(core, pair[kLast]) : pair[kLast];
      HWY_UNROLL(8)
      for (int i = 0; i < kLast; ++i) core = hn::Add(core, pair[i]);
      HWY_UNROLL(8)
      for (int i = 0; i < kLast; ++i) pair[i] = pair[i + 1];
    }
    hn::Store(hn::Add(hn::Load(d, row + x), core), d, to + x);
    hn::Store(hn::Add(core, hn::Load(d, row + x + K * n)), d, to + x + n);
  }
}

// The same for K = 7 and width a multiple of 4, four at a time, 9 additions for 4 sums:
//   core = (a3+a4) + (a5+a6),  to[0] = a0 + (a1+a2) + core,  to[1] = (a1+a2) + core + a7,
//   to[2] = a2 + core + (a7+a8),  to[3] = core + (a7+a8) + a9
template <class D>
HWY_NOINLINE void SumSevenAlongX(D d, const hn::TFromD<D>* HWY_RESTRICT row,
                                 hn::TFromD<D>* HWY_RESTRICT to, Index width) {
  using V = hn::Vec<D>;
  const Index n = static_cast<Index>(hn::Lanes(d));
  V a0 = hn::Load(d, row), a2 = hn::Load(d, row + 2 * n), a4 = hn::Load(d, row + 4 * n);
  V pair12 = hn::Add(hn::Load(d, row + n), a2);
  V pair34 = hn::Add(hn::Load(d, row + 3 * n), a4);
  for (Index x = 0; x < width * n; x += 4 * n) {
    const V a6 = hn::Load(d, row + x + 6 * n), a7 = hn::Load(d, row + x + 7 * n);
    const V a8 = hn::Load(d, row + x + 8 * n);
    const V pair56 = hn::Add(hn::Load(d, row + x + 5 * n), a6);
    const V pair78 = hn::Add(a7, a8);
    const V core = hn::Add(pair34, pair56);
    const V left = hn::Add(pair12, core), right = hn::Add(core, pair78);
    hn::Store(hn::Add(a0, left), d, to + x);
    hn::Store(hn::Add(left, a7), d, to + x + n);
    hn::Store(hn::Add(a2, right), d, to + x + 2 * n);
    hn::Store(hn::Add(right, hn::Load(d, row + x + 9 * n)), d, to + x + 3 * n);
    a0 = a4, a2 = a6, a4 = a8, pair12 = pair56, pair34 = pair78;
  }
}

// sums[k] = Σ_{i<K} of rows k + i of one pixel column, k < G; rows are `stride` apart.
//   four: core = a3 + … + a(K−1),  left = (a1+a2) + core,  right = core + (aK + a(K+1)),
//         sums = a0 + left, left + aK, a2 + right, right + a(K+2)
template <int K, int G, class D, class V = hn::Vec<D>>
HWY_INLINE void SumAlongY(D d, const hn::TFromD<D>* HWY_RESTRICT rows, Index stride, V (&sums)[G]) {
  static_assert(G == 2 || G == 4);
  const auto a = [&](int i) HWY_ATTR { return hn::Load(d, rows + i * stride); };
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

template <int K, int G, class D, class Consumer>
HWY_NOINLINE void SumRowsAlongY(D d, const hn::TFromD<D>* sums_along_x, Index stride, Index width,
                                const Consumer& consumer_, Index y, Index rows) {
  const Consumer consumer = consumer_;  // its members in registers
  const Index n = static_cast<Index>(hn::Lanes(d));
  for (Index x = 0; x < width; ++x) {
    hn::Vec<D> sums[G];
    SumAlongY<K, G>(d, sums_along_x + x * n, stride, sums);
    consumer.Column(y, x, G == kGroupRows ? G : rows, sums);
  }
  consumer.KeepTotals(consumer_);
}

// Sums along x of the rows of a source, and around them the zeros that windows of K need.
template <int K, class D>
struct SumsAlongX {
  using T = hn::TFromD<D>;
  D d;
  T* first;      // the first row of zeros
  Index stride;  // elements between rows
  Index low, height, width, input_width;

  HWY_INLINE SumsAlongX(D d_, const WindowJob<T>& job)
      : d(d_),
        first(job.sums),
        stride(sums_stride(job.output) * static_cast<Index>(hn::Lanes(d))),
        low(job.geometry.pad_low),
        height(job.input.height),
        width(stride / static_cast<Index>(hn::Lanes(d))),
        input_width(job.input.width) {}

  HWY_INLINE T* Row(Index y) const { return first + (y + low) * stride; }
  // The zeros beside the pixels of a row buffer.
  HWY_INLINE void ZeroEnds(T* row) const {
    const Index n = static_cast<Index>(hn::Lanes(d));
    ZeroFill(d, row, low);
    ZeroFill(d, row + (low + input_width) * n, width + K - low - input_width);
  }
  HWY_INLINE void ZeroAbove() const { ZeroFill(d, first, low * width); }
  HWY_INLINE void ZeroBelow(Index output_height) const {
    ZeroFill(d, Row(height), (sums_rows(K, output_height) - low - height) * width);
  }
  HWY_INLINE void Sum(const T* row, Index y) const {
    if constexpr (K == 7) {
      SumSevenAlongX(d, row, Row(y), width);
    } else {
      SumAlongX<K>(d, row, Row(y), width);
    }
  }
};

// Stride 1, dilation 1, K known.
template <int K, class D, class Source, class Consumer>
HWY_NOINLINE void UnitWindows(D d, const WindowJob<hn::TFromD<D>>& job, const Source& source,
                              const Consumer& consumer) {
  const Index n = static_cast<Index>(hn::Lanes(d));
  const SumsAlongX<K, D> sums(d, job);
  Index produced = job.sums_ready ? job.input.height : 0;
  if (!job.sums_ready) {
    sums.ZeroEnds(job.row);
    sums.ZeroAbove();
    sums.ZeroBelow(job.output.height);
  }
  for (Index y = 0; y < job.output.height; y += kGroupRows) {
    const Index needed = HWY_MIN(job.input.height, y + kGroupRows + K - 1 - sums.low);
    for (; produced < needed; ++produced) {
      source.Row(produced, job.row + sums.low * n);
      sums.Sum(job.row, produced);
    }
    const Index rows = HWY_MIN(kGroupRows, job.output.height - y);
    const auto* first = sums.first + y * sums.stride;
    if (rows == kGroupRows) {
      SumRowsAlongY<K, 4>(d, first, sums.stride, job.output.width, consumer, y, 4);
    } else {
      SumRowsAlongY<K, 2>(d, first, sums.stride, job.output.width, consumer, y, HWY_MIN(rows, 2));
      if (rows == 3) {
        SumRowsAlongY<K, 2>(d, first + 2 * sums.stride, sums.stride, job.output.width, consumer,
                            y + 2, 1);
      }
    }
    consumer.Rows(y, rows);
  }
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
      source.Row(produced, job.row);
      T* to = ring_row(produced);
      for (Index ox = 0; ox < width; ++ox) {
        const Index x0 = ox * g.stride - g.pad_low;
        V sum;
        if (inside(x0, job.input.width)) {
          sum = hn::Load(d, job.row + x0 * lanes);
          HWY_UNROLL(4)
          for (int i = 1; i < K; ++i) sum = hn::Add(sum, hn::Load(d, job.row + (x0 + i) * lanes));
        } else {
          sum = ClippedSum(d, g, x0, job.input.width,
                           [&](Index x) HWY_ATTR { return hn::Load(d, job.row + x * lanes); });
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
HWY_INLINE hn::Vec<D> RowSum(D d, const hn::TFromD<D>* row, Index width) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
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
      source.Row(y, job.row);
      total = hn::Add(total, RowSum(d, job.row, job.input.width));
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
