// Sums over the lanes of a register. Included once per target.
#pragma once

#include "engine/core/index.hpp"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
HWY_INLINE double LaneSum(D d, hn::Vec<D> v) {
  return static_cast<double>(hn::GetLane(hn::SumOfLanes(d, v)));
}

// 16 floats: sums over the lanes of several vectors are taken together, halving as they are merged,
// 3 instructions a vector where one at a time takes 8 to 10.
template <class D>
constexpr bool kMergesLanes = HWY_TARGET <= HWY_AVX3 && sizeof(hn::TFromD<D>) == 4;

#if HWY_TARGET <= HWY_AVX3
// Block k of the result: four partial sums of vectors[k].
template <class D, class V = hn::Vec<D>>
HWY_INLINE V MergeLanes(D, const V (&vectors)[4]) {
  const auto halves = [](V a, V b) HWY_ATTR {  // 256 bits of a, 256 bits of b
    return V{_mm512_add_ps(_mm512_mask_blend_ps(0xFF00, a.raw, b.raw),
                           _mm512_shuffle_f32x4(a.raw, b.raw, 0x4E))};
  };
  const V a = halves(vectors[0], vectors[1]), b = halves(vectors[2], vectors[3]);
  return V{_mm512_add_ps(_mm512_shuffle_f32x4(a.raw, b.raw, 0x88),
                         _mm512_shuffle_f32x4(a.raw, b.raw, 0xDD))};
}

// Block k of the result: the sums of block k of merged[0] … merged[3].
template <class D, class V = hn::Vec<D>>
HWY_INLINE V SumBlocks(D, const V (&merged)[4]) {
  const auto pairs = [](V a, V b) HWY_ATTR {  // within blocks: (a a b b)
    return V{_mm512_add_ps(_mm512_shuffle_ps(a.raw, b.raw, 0x44),
                           _mm512_shuffle_ps(a.raw, b.raw, 0xEE))};
  };
  const V a = pairs(merged[0], merged[1]), b = pairs(merged[2], merged[3]);
  return V{
      _mm512_add_ps(_mm512_shuffle_ps(a.raw, b.raw, 0x88), _mm512_shuffle_ps(a.raw, b.raw, 0xDD))};
}
#else
// Never called: kMergesLanes is false.
template <class D, class V = hn::Vec<D>>
HWY_INLINE V MergeLanes(D, const V (&vectors)[4]) {
  return vectors[0];
}
#endif

// sums[i] += sum over lanes of vectors[i], i < count. `first`: = instead.
template <class D>
HWY_NOINLINE void AddLaneSums(D d, const hn::TFromD<D>* vectors, Index count, bool first,
                              hn::TFromD<D>* sums) {
  const Index n = static_cast<Index>(hn::Lanes(d));
  if (first) {
    for (Index k = 0; k < count; ++k) sums[k] = 0;
  }
  Index i = 0;
#if HWY_TARGET <= HWY_AVX3
  if constexpr (kMergesLanes<D>) {
    using V = hn::Vec<D>;
    for (; i + 4 < count; i += 16) {  // up to 4 are cheaper one by one
      const auto load = [&](Index k) HWY_ATTR {
        return i + k < count ? hn::Load(d, vectors + (i + k) * n) : hn::Zero(d);
      };
      V merged[4];
      HWY_UNROLL(4)
      for (Index q = 0; q < 4; ++q) {
        const V every_fourth[4] = {load(q), load(4 + q), load(8 + q), load(12 + q)};
        merged[q] = MergeLanes(d, every_fourth);
      }
      float all[16];
      hn::StoreU(SumBlocks(d, merged), d, all);
      for (Index k = 0; k < HWY_MIN(16, count - i); ++k) sums[i + k] += all[k];
    }
    i = HWY_MIN(i, count);
  }
#endif
  for (; i < count; ++i) {
    sums[i] += hn::GetLane(hn::SumOfLanes(d, hn::Load(d, vectors + i * n)));
  }
}

// sums[4 x + k] += sum of block k of merged[x], k < 4, x < width: what MergeLanes left of a group's
// columns. `first`: = instead.
template <class D>
HWY_NOINLINE void AddMergedLaneSums([[maybe_unused]] D d,
                                    [[maybe_unused]] const hn::TFromD<D>* merged,
                                    [[maybe_unused]] Index width, [[maybe_unused]] bool first,
                                    [[maybe_unused]] hn::TFromD<D>* sums) {
#if HWY_TARGET <= HWY_AVX3
  if constexpr (kMergesLanes<D>) {
    using V = hn::Vec<D>;
    const Index n = static_cast<Index>(hn::Lanes(d));
    // SumBlocks leaves lane i of block k for pixel k of column i.
    const __m512i transposed =
        _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    for (Index x = 0; x < width; x += 4) {
      const auto load = [&](Index i) HWY_ATTR {
        return x + i < width ? hn::Load(d, merged + (x + i) * n) : hn::Zero(d);
      };
      const V columns[4] = {load(0), load(1), load(2), load(3)};
      const V all = V{_mm512_permutexvar_ps(transposed, SumBlocks(d, columns).raw)};
      const Index count = HWY_MIN(16, 4 * (width - x));
      const auto mask = static_cast<__mmask16>((1u << count) - 1);
      float* const to = sums + 4 * x;
      const __m512 before = _mm512_maskz_loadu_ps(first ? 0 : mask, to);
      _mm512_mask_storeu_ps(to, mask, _mm512_add_ps(before, all.raw));
    }
  }
#endif
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
