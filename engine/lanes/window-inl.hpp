// Window sums on lanes: separable, all-ones, additions only. Included once per target.
//
// Rows of the source are produced one at a time into a zero-padded row buffer, summed along x into
// a ring of rows, and summed along y into the epilogue, so that a map is read once and written
// once:
//
//   source.Row(y) → row buffer → sum along x → ring → sum along y → epilogue(pixel, sum)
//
// Around the sums of one or two output rows come epilogue.Start(first pixel) and Finish(first
// pixel, count).
//
// Two neighbouring windows of K terms share K − 1 of them, and the sums of two neighbours (pairs)
// serve K/2 such couples: with the pairs at hand, K = 7 costs 2.5 additions a sum where a doubling
// tree needs
// 4. No difference is ever taken: a black image gives exact zeros.
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

// One window sum to do: shapes and geometry of a step, and its buffers [vectors]:
// row: padded source row; ring: the latest rows summed along x; zeros: a row of zeros.
template <class T>
struct WindowJob {
  MapShape input, output;
  WindowGeometry geometry;
  T* row;
  T* ring;
  const T* zeros;
};

constexpr Index RoundUp(Index n, Index multiple) {
  return (n + multiple - 1) / multiple * multiple;
}

template <class D>
HWY_INLINE void ZeroFill(D d, hn::TFromD<D>* to, Index num_vectors) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  for (Index i = 0; i < num_vectors; ++i) hn::Store(hn::Zero(d), d, to + i * lanes);
}

// to[x] = Σ_{i<K} row[x + i] for x < width, width even. kPairs: also pairs[x] = previous[x] +
// to[x].
//   core = a1 + … + a(K−1) in pairs,  to[0] = a0 + core,  to[1] = core + aK
template <int K, bool kPairs, class D>
HWY_NOINLINE void SumAlongX(D d, const hn::TFromD<D>* HWY_RESTRICT row,
                            hn::TFromD<D>* HWY_RESTRICT to, const hn::TFromD<D>* previous,
                            hn::TFromD<D>* HWY_RESTRICT pairs, Index width) {
  using V = hn::Vec<D>;
  constexpr int kNumPairs = (K - 1) / 2;
  const Index n = static_cast<Index>(hn::Lanes(d));
  V pair[kNumPairs + 1];  // pair[i] = a(1+2i) + a(2+2i), kept from one couple to the next
  V a0 = hn::Load(d, row), last = a0;
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
    last = hn::Load(d, row + x + K * n);
    const V sum0 = hn::Add(hn::Load(d, row + x), core), sum1 = hn::Add(core, last);
    hn::Store(sum0, d, to + x);
    hn::Store(sum1, d, to + x + n);
    if constexpr (kPairs) {
      hn::Store(hn::Add(hn::Load(d, previous + x), sum0), d, pairs + x);
      hn::Store(hn::Add(hn::Load(d, previous + x + n), sum1), d, pairs + x + n);
    }
  }
}

// The same for K = 7, four at a time, 9 additions for 4 sums:
//   core = (a3+a4) + (a5+a6),  to[0] = a0 + (a1+a2) + core,  to[1] = (a1+a2) + core + a7,
//   to[2] = a2 + core + (a7+a8),  to[3] = core + (a7+a8) + a9
template <bool kPairs, class D>
HWY_NOINLINE void SumSevenAlongX(D d, const hn::TFromD<D>* HWY_RESTRICT row,
                                 hn::TFromD<D>* HWY_RESTRICT to, const hn::TFromD<D>* previous,
                                 hn::TFromD<D>* HWY_RESTRICT pairs, Index width) {
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
    const V sums[4] = {hn::Add(a0, left), hn::Add(left, a7), hn::Add(a2, right),
                       hn::Add(right, hn::Load(d, row + x + 9 * n))};
    HWY_UNROLL(4)
    for (int g = 0; g < 4; ++g) {
      hn::Store(sums[g], d, to + x + g * n);
      if (kPairs)
        hn::Store(hn::Add(hn::Load(d, previous + x + g * n), sums[g]), d, pairs + x + g * n);
    }
    a0 = a4, a2 = a6, a4 = a8, pair12 = pair56, pair34 = pair78;
  }
}

// What one couple of output rows sums: the rows only one of them has, and what they share.
template <int K, class T>
struct CoupleOfRows {
  static constexpr int kNumShared = K / 2;  // pairs of rows; for even K the last is a single row
  const T *first, *last;
  const T* shared[kNumShared > 0 ? kNumShared : 1];
};

// epilogue(pixel + x, first[x] + Σ shared[x]) and, for kBoth, epilogue(pixel + width + x, Σ
// shared[x] + last[x]).
template <int K, bool kBoth, class D, class Epilogue>
HWY_NOINLINE void SumAlongY(D d, const CoupleOfRows<K, hn::TFromD<D>>& rows_,
                            const Epilogue& epilogue_, Index pixel, Index width) {
  using V = hn::Vec<D>;
  const auto rows = rows_;  // their members in registers
  const Epilogue epilogue = epilogue_;
  const Index n = static_cast<Index>(hn::Lanes(d));
  for (Index x = 0, at = 0; x < width; ++x, at += n) {
    V core = hn::Load(d, rows.shared[0] + at);
    HWY_UNROLL(8)
    for (int i = 1; i < rows.kNumShared; ++i)
      core = hn::Add(core, hn::Load(d, rows.shared[i] + at));
    epilogue(pixel + x, hn::Add(hn::Load(d, rows.first + at), core));
    if (kBoth) epilogue(pixel + width + x, hn::Add(core, hn::Load(d, rows.last + at)));
  }
}

// Stride 1, dilation 1, K known: two sums at a time along both axes.
template <int K, class D, class Source, class Epilogue>
HWY_NOINLINE void UnitWindows(D d, const WindowJob<hn::TFromD<D>>& job, const Source& source,
                              const Epilogue& epilogue) {
  using T = hn::TFromD<D>;
  constexpr Index kRing = K + 1;          // rows summed along x that are alive
  constexpr Index kPairRing = K / 2 + 1;  // pairs of them
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const Index low = job.geometry.pad_low, height = job.input.height;
  const Index width = RoundUp(job.output.width, K == 7 ? 4 : 2), row_size = width * lanes;
  const auto row = [&](Index y) -> T* { return job.ring + (y % kRing) * row_size; };
  const auto pair = [&](Index y) -> T* {  // of rows y and y + 1
    return job.ring + (kRing + ((y + 1) / 2) % kPairRing) * row_size;
  };
  const auto starts_pair = [&](Index y) {
    return (y + low + 1) % 2 == 0;
  };  // y = oy − low + 1, oy even

  ZeroFill(d, job.row, low);
  ZeroFill(d, job.row + (low + job.input.width) * lanes, width + K - low - job.input.width);
  Index produced = 0;
  for (Index oy = 0; oy < job.output.height; oy += 2) {
    const Index first = oy - low;
    const Index needed = HWY_MIN(height, first + K + 1);
    for (; produced < needed; ++produced) {
      source.Row(produced, job.row + low * lanes);
      const bool pairs = K > 2 && produced > 0 && starts_pair(produced - 1);
      const T* previous = pairs ? row(produced - 1) : nullptr;
      T* pair_row = pairs ? pair(produced - 1) : nullptr;
      T* to = row(produced);
      if constexpr (K == 7) {
        pairs ? SumSevenAlongX<true>(d, job.row, to, previous, pair_row, width)
              : SumSevenAlongX<false>(d, job.row, to, previous, pair_row, width);
      } else {
        pairs ? SumAlongX<K, true>(d, job.row, to, previous, pair_row, width)
              : SumAlongX<K, false>(d, job.row, to, previous, pair_row, width);
      }
    }
    const auto row_or_zeros = [&](Index y) { return y < 0 || y >= height ? job.zeros : row(y); };
    CoupleOfRows<K, T> rows;
    rows.first = row_or_zeros(first);
    rows.last = row_or_zeros(first + K);
    for (int i = 0; i < rows.kNumShared; ++i) {
      const Index y = first + 1 + 2 * i;
      const bool single = K % 2 == 0 && i + 1 == rows.kNumShared;
      // A pair that lies across an edge of the image is the one row of it inside.
      if (single || y + 1 >= height) {
        rows.shared[i] = row_or_zeros(y);
      } else {
        rows.shared[i] = y < 0 ? row_or_zeros(y + 1) : pair(y);
      }
    }
    const Index pixel = oy * job.output.width;
    const bool both = oy + 1 < job.output.height;
    epilogue.Start(pixel);
    if (HWY_LIKELY(both)) {
      SumAlongY<K, true>(d, rows, epilogue, pixel, job.output.width);
    } else {
      SumAlongY<K, false>(d, rows, epilogue, pixel, job.output.width);
    }
    epilogue.Finish(pixel, both ? 2 * job.output.width : job.output.width);
  }
}

// Rows the ring holds in the general case: all that one output row needs.
constexpr Index GeneralRingRows(const WindowGeometry& g, Index height) {
  return HWY_MIN((g.kernel_size - 1) * g.dilation + 1, height);
}

// Any geometry: kernel_size additions a sum and axis; rows outside the image are left out.
template <class D, class Source, class Epilogue>
void GeneralWindows(D d, const WindowJob<hn::TFromD<D>>& job, const Source& source,
                    const Epilogue& epilogue) {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const WindowGeometry& g = job.geometry;
  const Index ring_rows = GeneralRingRows(g, job.input.height);
  const Index width = job.output.width;

  Index produced = 0;
  for (Index oy = 0; oy < job.output.height; ++oy) {
    const Index first = oy * g.stride - g.pad_low;
    const Index needed = HWY_MIN(job.input.height, first + (g.kernel_size - 1) * g.dilation + 1);
    for (; produced < needed; ++produced) {
      source.Row(produced, job.row);
      T* to = job.ring + (produced % ring_rows) * width * lanes;
      for (Index ox = 0; ox < width; ++ox) {
        const Index x0 = ox * g.stride - g.pad_low;
        V sum = hn::Zero(d);
        const Index skip = x0 < 0 ? (-x0 + g.dilation - 1) / g.dilation : 0;
        for (Index i = skip, x = x0 + skip * g.dilation; i < g.kernel_size && x < job.input.width;
             ++i, x += g.dilation) {
          sum = hn::Add(sum, hn::Load(d, job.row + x * lanes));
        }
        hn::Store(sum, d, to + ox * lanes);
      }
    }
    const Index skip = first < 0 ? (-first + g.dilation - 1) / g.dilation : 0;
    epilogue.Start(oy * width);
    for (Index x = 0; x < width; ++x) {
      V sum = hn::Zero(d);
      for (Index i = skip, y = first + skip * g.dilation; i < g.kernel_size && y < job.input.height;
           ++i, y += g.dilation) {
        sum = hn::Add(sum, hn::Load(d, job.ring + ((y % ring_rows) * width + x) * lanes));
      }
      epilogue(oy * width + x, sum);
    }
    epilogue.Finish(oy * width, width);
  }
}

// One window over the whole map: four sums a row, then row by row.
template <class D, class Source, class Epilogue>
HWY_INLINE void WholeWindow(D d, const WindowJob<hn::TFromD<D>>& job, const Source& source,
                            const Epilogue& epilogue) {
  using V = hn::Vec<D>;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  V total = hn::Zero(d);
  for (Index y = 0; y < job.input.height; ++y) {
    source.Row(y, job.row);
    V sums[4] = {hn::Zero(d), hn::Zero(d), hn::Zero(d), hn::Zero(d)};
    Index x = 0;
    for (; x + 4 <= job.input.width; x += 4) {
      HWY_UNROLL(4)
      for (int i = 0; i < 4; ++i) {
        sums[i] = hn::Add(sums[i], hn::Load(d, job.row + (x + i) * lanes));
      }
    }
    for (; x < job.input.width; ++x) sums[0] = hn::Add(sums[0], hn::Load(d, job.row + x * lanes));
    total = hn::Add(total, hn::Add(hn::Add(sums[0], sums[1]), hn::Add(sums[2], sums[3])));
  }
  epilogue.Start(0);
  epilogue(0, total);
  epilogue.Finish(0, 1);
}

// A single window over the whole map.
HWY_INLINE bool IsWholeWindow(const WindowGeometry& g, const MapShape& input,
                              const MapShape& output) {
  return output == MapShape{1, 1} && g.pad_low == 0 && g.dilation == 1 &&
         g.kernel_size == input.height && g.kernel_size == input.width;
}

template <class D, class Source, class Epilogue>
HWY_INLINE void WindowSums(D d, const WindowJob<hn::TFromD<D>>& job, const Source& source,
                           const Epilogue& epilogue) {
  const WindowGeometry& g = job.geometry;
  if (IsWholeWindow(g, job.input, job.output)) return WholeWindow(d, job, source, epilogue);
  // Padding past the kernel would make row buffers of the fast path longer than planned.
  if (g.stride == 1 && g.dilation == 1 && g.pad_low < g.kernel_size &&
      g.pad_high <= g.kernel_size) {
    if (g.kernel_size == 2) return UnitWindows<2>(d, job, source, epilogue);
    if (g.kernel_size == 3) return UnitWindows<3>(d, job, source, epilogue);
    if (g.kernel_size == 4) return UnitWindows<4>(d, job, source, epilogue);
    if (g.kernel_size == 5) return UnitWindows<5>(d, job, source, epilogue);
    if (g.kernel_size == 7) return UnitWindows<7>(d, job, source, epilogue);
  }
  GeneralWindows(d, job, source, epilogue);
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
#endif
