// What a step's consumer of sums does for the step that runs next: takes its source row by row, as
// it is made, and leaves it summed along x (WindowJob::sums_ready). Included once per target.
#pragma once

#include "engine/lanes/window-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// See above; unit windows are summed along x, a window over the whole map is summed at once.
//
// A group of rows, with all that a loop reads and writes beside it, is about as large as L1. So the
// columns of a wide group come in two parts: when the first is there, the sums that need no more
// than it are made, and its last columns, which other sums need as well, move to the front:
//
//   columns of the buffer   zeros | first part                   | …
//                           zeros | kept | last part | zeros
template <class D>
class NextRows {
 public:
  using T = hn::TFromD<D>;

  NextRows(D d_, const WindowJob<T>& job, T* rows)
      : d(d_),
        sums_(d_, job),
        rows_(rows),
        is_whole_(is_whole_window(job.geometry, job.input, job.output)) {
    const Index width = job.input.width, middle = (width - 1) / 8 * 4;
    // The zeros behind the last part lie behind the first. Rows that go round start with their end.
    const bool apart = width + 2 * Low() > 2 * middle + Kept() && !job.geometry.circular;
    if (kSplits && !is_whole_ && width >= kSplitWidth && apart) summed_first_ = middle;
  }

  // Columns of the first part; 0: groups come in one.
  HWY_INLINE Index Split() const { return summed_first_ == 0 ? 0 : summed_first_ + Kept() - Low(); }
  // The pixels of the part that starts at column x go to At(Origin(x), their row, their column).
  HWY_INLINE T* Origin(Index x) const {
    const Index column = x == 0 ? Low() : 2 * Low() - summed_first_;
    return rows_ + column * kGroupRows * static_cast<Index>(hn::Lanes(d));
  }
  static HWY_INLINE T* At(T* origin, Index y, Index x) {
    return origin + (x * kGroupRows + y % kGroupRows) * static_cast<Index>(hn::Lanes(D()));
  }
  HWY_NOINLINE void Start() const {
    if (is_whole_) return hn::Store(hn::Zero(d), d, sums_.first);
    sums_.ZeroEnds(rows_);
    if (summed_first_ == 0) return;
    const Index end = sums_.input_width;
    ZeroFill(d, At(Origin(end), 0, end), (sums_.width + Kept() - Low() - end) * kGroupRows);
  }
  // The first Split() columns of a whole group are there.
  HWY_NOINLINE void FirstPart(Index y) const {
    const Index group = kGroupRows * static_cast<Index>(hn::Lanes(d));
    sums_.Sum(rows_, y, kGroupRows, 0, summed_first_);
    sums_.KeepColumns(rows_ + summed_first_ * group, rows_ + Low() * group);
  }
  // And the rest of them.
  HWY_NOINLINE void LastPart(Index y) const {
    const T* const from = rows_ + Low() * kGroupRows * static_cast<Index>(hn::Lanes(d));
    sums_.Sum(from, y, kGroupRows, summed_first_, sums_.width);
  }
  // A whole group is there, in one part.
  HWY_NOINLINE void Rows(Index y, Index count) const {
    if (!is_whole_) {
      sums_.WrapEnds(rows_);
      return sums_.Sum(rows_, y, count, 0, sums_.width);
    }
    auto total = hn::Load(d, sums_.first);
    for (Index k = 0; k < count; ++k) {
      total = hn::Add(total, RowSum(d, At(Origin(0), y + k, 0), kGroupRows, sums_.input_width));
    }
    hn::Store(total, d, sums_.first);
  }

 private:
  // Half a kilobyte a column: below this width a group leaves room in L1.
  static constexpr Index kSplitWidth = 24;
  static constexpr bool kSplits = HWY_TARGET <= HWY_AVX3;

  HWY_INLINE Index Low() const { return sums_.Low(); }
  HWY_INLINE Index Kept() const { return sums_.axis.kernel_size - 1; }

  D d;
  RowSums<D> sums_;  // of a window over the whole map, its total in the first place
  T* rows_;          // buffers of a group of rows, column by column
  bool is_whole_;
  Index summed_first_ = 0;  // sums made of the first part; a multiple of 4
};

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
