// Sums along y of sums along x, for windows of a known size that go one pixel a step: the second
// half of a window sum (window-inl.hpp). Included once per target.
#pragma once

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

// Sizes of unit windows along an axis: 2, 3, 4, 5, 7 (is_unit_window).
constexpr int kNumUnitSizes = 5;
template <int K>
constexpr int UnitIndex() {
  return K == 7 ? kNumUnitSizes - 1 : K - 2;
}

// take(x, sums) for columns from, …, to − 1 of rows y, …, y + G − 1.
template <int K, int G, class D, class Take>
HWY_INLINE void SumColumns(D d, const RowsAlongX<D>& along_x, Index from, Index to, Index y,
                           const Take& take) {
  const Index n = static_cast<Index>(hn::Lanes(d)), count = to - from;
  const hn::TFromD<D>* terms[K + G - 1];
  HWY_UNROLL(16)
  for (int i = 0; i < K + G - 1; ++i) {
    terms[i] = along_x.RowAt(y + i - along_x.low) + from * n;
  }
  for (Index x = 0; x < count; ++x) {  // from 0: loops from elsewhere take more registers
    hn::Vec<D> sums[G];
    const auto term = [&](int i) HWY_ATTR { return hn::Load(d, terms[i] + x * n); };
    SumAlongY<K>(term, sums);
    take(from + x, sums);
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
