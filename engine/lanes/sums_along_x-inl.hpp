// Sums along x of the rows of a source, for windows of a known size that go one pixel a step: the
// first half of a window sum (window-inl.hpp). Included once per target.
#pragma once

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
  T* rows;          // a group of padded rows of the source, column by column
  const T* zeros;   // a row of zeros
  T* sums;          // source rows summed along x
  bool sums_ready;  // the step before has left them there
};

template <class D>
HWY_INLINE void ZeroFill(D d, hn::TFromD<D>* to, Index num_vectors) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  for (Index i = 0; i < num_vectors; ++i) hn::Store(hn::Zero(d), d, to + i * lanes);
}

// Rows of a group that are summed along x together: their chains of additions run beside each
// other. As many as five registers a row allow.
constexpr int kRowsTogether = HWY_TARGET <= HWY_AVX3 ? 4 : 1;

// As SumGroupAlongX below for K = 7 and width a multiple of 4, four at a time, 9 additions for 4
// sums:
//   core = (a3+a4) + (a5+a6),  to[0] = a0 + (a1+a2) + core,  to[1] = (a1+a2) + core + a7,
//   to[2] = a2 + core + (a7+a8),  to[3] = core + (a7+a8) + a9
template <int R, class D>
HWY_INLINE void SumSevenAlongX(D d, const hn::TFromD<D>* HWY_RESTRICT rows,
                               hn::TFromD<D>* HWY_RESTRICT to, Index stride, Index width) {
  using V = hn::Vec<D>;
  const Index n = static_cast<Index>(hn::Lanes(d));
  const auto at = [&](Index x, Index i, int r)
                      HWY_ATTR { return hn::Load(d, rows + ((x + i) * kGroupRows + r) * n); };
  V a0[R], a2[R], a4[R], pair12[R], pair34[R];
  HWY_UNROLL(4)
  for (int r = 0; r < R; ++r) {
    a0[r] = at(0, 0, r), a2[r] = at(0, 2, r), a4[r] = at(0, 4, r);
    pair12[r] = hn::Add(at(0, 1, r), a2[r]), pair34[r] = hn::Add(at(0, 3, r), a4[r]);
  }
  for (Index x = 0; x < width; x += 4) {
    HWY_UNROLL(4)
    for (int r = 0; r < R; ++r) {
      const V a6 = at(x, 6, r), a7 = at(x, 7, r), a8 = at(x, 8, r);
      const V pair56 = hn::Add(at(x, 5, r), a6);
      const V pair78 = hn::Add(a7, a8);
      const V core = hn::Add(pair34[r], pair56);
      const V left = hn::Add(pair12[r], core), right = hn::Add(core, pair78);
      hn::TFromD<D>* const sums = to + r * stride + x * n;
      hn::Store(hn::Add(a0[r], left), d, sums);
      hn::Store(hn::Add(left, a7), d, sums + n);
      hn::Store(hn::Add(a2[r], right), d, sums + 2 * n);
      hn::Store(hn::Add(right, at(x, 9, r)), d, sums + 3 * n);
      a0[r] = a4[r], a2[r] = a6, a4[r] = a8, pair12[r] = pair56, pair34[r] = pair78;
    }
  }
}

// to[x] = Σ_{i<K} row[x + i] for x < width, width even; of R rows of a group, whose sums are
// `stride` elements apart.
//   core = a1 + … + a(K−1) in pairs,  to[0] = a0 + core,  to[1] = core + aK
template <int K, int R, class D>
HWY_NOINLINE void SumGroupAlongX(D d, const hn::TFromD<D>* HWY_RESTRICT rows,
                                 hn::TFromD<D>* HWY_RESTRICT to, Index stride, Index width) {
  if constexpr (K == 7) return SumSevenAlongX<R>(d, rows, to, stride, width);
  using V = hn::Vec<D>;
  constexpr int kNumPairs = (K - 1) / 2;
  const Index n = static_cast<Index>(hn::Lanes(d));
  const auto at = [&](Index x, Index i, int r)
                      HWY_ATTR { return hn::Load(d, rows + ((x + i) * kGroupRows + r) * n); };
  V pair[R][kNumPairs + 1];  // pair[i] = a(1+2i) + a(2+2i), kept from one couple to the next
  HWY_UNROLL(4)
  for (int r = 0; r < R; ++r) {
    HWY_UNROLL(8)
    for (int i = 0; i + 1 < kNumPairs; ++i) {
      pair[r][i] = hn::Add(at(0, 1 + 2 * i, r), at(0, 2 + 2 * i, r));
    }
  }
  for (Index x = 0; x < width; x += 2) {
    HWY_UNROLL(4)
    for (int r = 0; r < R; ++r) {
      V core = at(x, K - 1, r);
      if constexpr (kNumPairs > 0) {
        constexpr int kLast = kNumPairs - 1;
        pair[r][kLast] = hn::Add(at(x, 1 + 2 * kLast, r), at(x, 2 + 2 * kLast, r));
        core = K % 2 == 0 ? hn::Add(core, pair[r][kLast]) : pair[r][kLast];
        HWY_UNROLL(8)
        for (int i = 0; i < kLast; ++i) core = hn::Add(core, pair[r][i]);
        HWY_UNROLL(8)
        for (int i = 0; i < kLast; ++i) pair[r][i] = pair[r][i + 1];
      }
      hn::TFromD<D>* const sums = to + r * stride + x * n;
      hn::Store(hn::Add(at(x, 0, r), core), d, sums);
      hn::Store(hn::Add(core, at(x, K, r)), d, sums + n);
    }
  }
}

// Rows of sums along x, of windows of any size.
template <class D>
struct RowsAlongX {
  using T = hn::TFromD<D>;
  T* first;
  const T* zeros;
  Index stride;  // elements between rows
  Index low, height;
  bool circular;  // the rows go round: above the first stands the last

  HWY_INLINE T* Row(Index y) const { return first + y * stride; }
  // Row y of the padded map.
  HWY_INLINE const T* RowAt(Index y) const {
    if (circular) return Row(wrapped(y, height));
    return y < 0 || y >= height ? zeros : Row(y);
  }
};

// Sums along x of the rows of a source, for unit windows.
template <class D>
struct RowSums : RowsAlongX<D> {
  using T = hn::TFromD<D>;
  using RowsAlongX<D>::stride, RowsAlongX<D>::circular, RowsAlongX<D>::Row;
  D d;
  WindowAxis axis;
  Index width, input_width;

  HWY_INLINE RowSums(D d_, const WindowJob<T>& job)
      : RowsAlongX<D>{job.sums,
                      job.zeros,
                      sums_stride(job.output) * static_cast<Index>(hn::Lanes(d_)),
                      job.geometry.y.pad_low,
                      job.input.height,
                      job.geometry.circular},
        d(d_),
        axis(job.geometry.x),
        width(stride / static_cast<Index>(hn::Lanes(d_))),
        input_width(job.input.width) {}

  // Columns of a group in front of its pixels.
  HWY_INLINE Index Low() const { return axis.pad_low; }

  // The zeros beside the pixels of a group of rows.
  HWY_INLINE void ZeroEnds(T* rows) const {
    const Index n = kGroupRows * static_cast<Index>(hn::Lanes(d));
    ZeroFill(d, rows, Low() * kGroupRows);
    ZeroFill(d, rows + (Low() + input_width) * n,
             (width + axis.kernel_size - Low() - input_width) * kGroupRows);
  }
  // In their place the pixels of the other side, where rows go round; of every group anew.
  HWY_INLINE void WrapEnds(T* rows) const {
    if (circular) CopyEnds(rows);
  }
  // Copies what windows that start before a column have in common with those behind it.
  HWY_INLINE void KeepColumns(const T* from, T* to) const {
    CopyColumns(from, to, axis.kernel_size - 1);
  }
  // Sums `from` to `to` − 1 of rows y, …, y + count − 1 of a group that starts at row y; `rows`
  // starts with the first pixel of sum `from`.
  HWY_INLINE void Sum(const T* rows, Index y, Index count, Index from, Index to) const {
    switch (axis.kernel_size) {
      case 2:
        return SumOf<2>(rows, y, count, from, to);
      case 3:
        return SumOf<3>(rows, y, count, from, to);
      case 4:
        return SumOf<4>(rows, y, count, from, to);
      case 5:
        return SumOf<5>(rows, y, count, from, to);
      default:
        return SumOf<7>(rows, y, count, from, to);
    }
  }

 private:
  template <int K>
  HWY_INLINE void SumOf(const T* rows, Index y, Index count, Index from, Index to) const {
    const Index n = static_cast<Index>(hn::Lanes(d));
    Index k = 0;
    for (; k + kRowsTogether <= count; k += kRowsTogether) {
      SumGroupAlongX<K, kRowsTogether>(d, rows + k * n, Row(y + k) + from * n, stride, to - from);
    }
    for (; k < count; ++k) {
      SumGroupAlongX<K, 1>(d, rows + k * n, Row(y + k) + from * n, stride, to - from);
    }
  }
  // Columns of a group.
  HWY_INLINE void CopyColumns(const T* from, T* to, Index count) const {
    const Index n = static_cast<Index>(hn::Lanes(d));
    for (Index i = 0; i < count * kGroupRows; ++i) {
      hn::Store(hn::Load(d, from + i * n), d, to + i * n);
    }
  }
  HWY_NOINLINE void CopyEnds(T* rows) const {
    const Index n = kGroupRows * static_cast<Index>(hn::Lanes(d));
    const auto copy = [&](Index x) HWY_ATTR {
      CopyColumns(rows + (Low() + wrapped(x, input_width)) * n, rows + (Low() + x) * n, 1);
    };
    for (Index x = -Low(); x < 0; ++x) copy(x);
    for (Index x = input_width; x < input_width + axis.pad_high; ++x) copy(x);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
