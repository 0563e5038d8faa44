// Sums over the lanes of a register. Included once per target.
#if defined(GRAMTILE_LANES_LANE_SUMS_INL_HPP_) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAMTILE_LANES_LANE_SUMS_INL_HPP_
#undef GRAMTILE_LANES_LANE_SUMS_INL_HPP_
#else
#define GRAMTILE_LANES_LANE_SUMS_INL_HPP_
#endif

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

// sums[i] += sum over lanes of vectors[i], i < count. One at a time costs 8 to 10 instructions a
// vector on AVX-512; 16 floats at a time, halving as they are merged, 3.
template <class D>
HWY_NOINLINE void AddLaneSums(D d, const hn::TFromD<D>* vectors, Index count, hn::TFromD<D>* sums) {
  const Index n = static_cast<Index>(hn::Lanes(d));
  Index i = 0;
#if HWY_TARGET <= HWY_AVX3
  if constexpr (sizeof(hn::TFromD<D>) == 4) {
    using V = hn::Vec<D>;
    // Each level merges two vectors into one that holds half as many partial sums of each.
    const auto halves = [&](V a, V b) HWY_ATTR {  // 256 bits of a, 256 bits of b
      return V{_mm512_add_ps(_mm512_shuffle_f32x4(a.raw, b.raw, 0x44),
                             _mm512_shuffle_f32x4(a.raw, b.raw, 0xEE))};
    };
    const auto quarters = [&](V a, V b) HWY_ATTR {  // blocks: a's two, b's two
      return V{_mm512_add_ps(_mm512_shuffle_f32x4(a.raw, b.raw, 0x88),
                             _mm512_shuffle_f32x4(a.raw, b.raw, 0xDD))};
    };
    const auto pairs = [&](V a, V b) HWY_ATTR {  // within blocks: (a a b b)
      return V{_mm512_add_ps(_mm512_shuffle_ps(a.raw, b.raw, 0x44),
                             _mm512_shuffle_ps(a.raw, b.raw, 0xEE))};
    };
    const auto singles = [&](V a, V b) HWY_ATTR {
      return V{_mm512_add_ps(_mm512_shuffle_ps(a.raw, b.raw, 0x88),
                             _mm512_shuffle_ps(a.raw, b.raw, 0xDD))};
    };
    // Sums of vectors i … i + 15, in order.
    const auto sixteen = [&](const auto& load) HWY_ATTR {
      V fours[4];
      HWY_UNROLL(4)
      for (Index q = 0; q < 4; ++q) {
        // Vectors q, 4 + q, 8 + q, 12 + q end in block 0, 1, 2, 3 of fours[q].
        fours[q] = quarters(halves(load(q), load(4 + q)), halves(load(8 + q), load(12 + q)));
      }
      return singles(pairs(fours[0], fours[1]), pairs(fours[2], fours[3]));
    };
    const auto add = [&](V all, float* to)
                         HWY_ATTR { hn::StoreU(hn::Add(hn::LoadU(d, to), all), d, to); };
    for (; i + 16 <= count; i += 16) {
      add(sixteen([&](Index k) HWY_ATTR { return hn::Load(d, vectors + (i + k) * n); }), sums + i);
    }
    if (i + 4 < count) {  // cheaper than one by one
      float rest[16] = {};
      add(sixteen([&](Index k) HWY_ATTR {
            return i + k < count ? hn::Load(d, vectors + (i + k) * n) : hn::Zero(d);
          }),
          rest);
      for (Index k = 0; i < count; ++i, ++k) sums[i] += rest[k];
    }
  }
#endif
  for (; i < count; ++i) {
    sums[i] += hn::GetLane(hn::SumOfLanes(d, hn::Load(d, vectors + i * n)));
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
#endif
