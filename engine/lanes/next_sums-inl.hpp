// What a step's consumer of sums does for the step that runs next: takes its source row by row, as
// it is made, and leaves it summed along x (WindowJob::sums_ready). Included once per target.
#if defined(GRAMTILE_LANES_NEXT_SUMS_INL_HPP_) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAMTILE_LANES_NEXT_SUMS_INL_HPP_
#undef GRAMTILE_LANES_NEXT_SUMS_INL_HPP_
#else
#define GRAMTILE_LANES_NEXT_SUMS_INL_HPP_
#endif

#include "engine/lanes/window-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// See above; unit windows are summed along x, a window over the whole map is summed at once.
template <class D>
struct NextSums {
  using T = hn::TFromD<D>;
  D d;
  WindowJob<T> job;
  T* rows;  // buffers of a group of rows, column by column

  // Where pixel 0 of source row y goes before it is summed; its pixels are kGroupRows vectors
  // apart.
  HWY_INLINE T* RowBuffer(Index y) const {
    const Index n = static_cast<Index>(hn::Lanes(d));
    return rows + (job.geometry.pad_low * kGroupRows + y % kGroupRows) * n;
  }
  // do_it(SumsAlongX<K, D>) for unit windows; otherwise the window is the whole map.
  template <class Do>
  HWY_INLINE bool WithUnitWindow(const Do& do_it) const {
    if (is_whole_window(job.geometry, job.input, job.output)) return false;
    switch (job.geometry.kernel_size) {
      case 2:
        do_it(SumsAlongX<2, D>(d, job));
        break;
      case 3:
        do_it(SumsAlongX<3, D>(d, job));
        break;
      case 4:
        do_it(SumsAlongX<4, D>(d, job));
        break;
      case 5:
        do_it(SumsAlongX<5, D>(d, job));
        break;
      default:
        do_it(SumsAlongX<7, D>(d, job));
    }
    return true;
  }

  HWY_NOINLINE void Start() const {
    const bool unit = WithUnitWindow([&](const auto& sums) HWY_ATTR { sums.ZeroEnds(rows); });
    if (!unit) hn::Store(hn::Zero(d), d, job.sums);
  }
  // A whole group is there.
  HWY_NOINLINE void Rows(Index y, Index count) const {
    const bool unit = WithUnitWindow([&](const auto& sums) HWY_ATTR { sums.Sum(rows, y, count); });
    if (unit) return;
    auto total = hn::Load(d, job.sums);
    for (Index k = 0; k < count; ++k) {
      total = hn::Add(total, RowSum(d, RowBuffer(y + k), kGroupRows, job.input.width));
    }
    hn::Store(total, d, job.sums);
  }
};

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
#endif
