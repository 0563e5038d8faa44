// Where the adjoint that a step makes goes on the way back. Included once per target.
#pragma once

#include "engine/lanes/next_rows-inl.hpp"
#include "engine/lanes/transpose-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// Where the adjoint of a source goes: stored the first time, added afterwards.
template <class D>
struct AdjointMap {
  using T = hn::TFromD<D>;
  T* map;
  bool first;

  HWY_INLINE void Put(D d, Index at, hn::Vec<D> value) const {
    hn::Store(first ? value : hn::Add(value, hn::Load(d, map + at)), d, map + at);
  }
};

// Where the adjoint that a step makes goes.
enum class AdjointWay {
  kRows,        // into rows of the step that runs next, which nobody else reads
  kRowsAndMap,  // the same, with what its map holds already, or it stays in its map, too
  kMap,
  kSum,  // only its sum is asked for
};

template <class D>
struct AdjointTarget {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  D d;
  AdjointMap<D> adjoint;
  AdjointWay way;
  const NextRows<D>* next;  // or nullptr
  T* origin;                // its Origin of the part at hand
  bool stays;               // kRowsAndMap: it goes to its map, too
  mutable V sum;            // Σ of what does not go to the map alone

  // Where pixels of column x from row y on go in the buffer of `next`.
  HWY_INLINE T* RowsAt(Index y, Index x) const { return NextRows<D>::At(origin, y, x); }
  // Pixels first, first + 1, … of a column, as many as its `rows`. to: RowsAt of the first.
  template <int N>
  HWY_INLINE void Put(Index first, Index rows, T* to, const V (&values)[N]) const {
    const Index n = static_cast<Index>(hn::Lanes(d));
    if (HWY_LIKELY(way == AdjointWay::kRows)) {
      GRAMTILE_EACH(k) {
        if (k < rows) hn::Store(values[k], d, to + k * n);
      }
      return AddToSum(rows, values);
    }
    V all[N];
    GRAMTILE_EACH(k) all[k] = values[k];
    GRAMTILE_EACH(k) {
      T* const map = adjoint.map + (first + k) * n;
      if (k >= rows) continue;
      if (way == AdjointWay::kMap) adjoint.Put(d, (first + k) * n, all[k]);
      if (way != AdjointWay::kRowsAndMap) continue;
      if (!adjoint.first) all[k] = hn::Add(all[k], hn::Load(d, map));
      if (stays) hn::Store(all[k], d, map);
      hn::Store(all[k], d, to + k * n);
    }
    if (way != AdjointWay::kMap) AddToSum(rows, all);
  }
  template <int N>
  HWY_INLINE void AddToSum(Index rows, const V (&values)[N]) const {
    if constexpr (N == 4) {
      if (rows >= N) {
        const V low = hn::Add(values[0], values[1]), high = hn::Add(values[2], values[3]);
        sum = hn::Add(sum, hn::Add(low, high));
        return;
      }
    }
    GRAMTILE_EACH(k) {
      if (k < rows) sum = hn::Add(sum, values[k]);
    }
  }
  HWY_INLINE void Rows(Index y, Index rows) const {
    if (next != nullptr) next->Rows(y, rows);
  }
  HWY_INLINE Index Split() const { return next != nullptr ? next->Split() : 0; }
  HWY_INLINE void StartPart(Index x) {
    if (next != nullptr) origin = next->Origin(x);
  }
};

// The step after `step` takes the adjoint that `step` makes summed along x.
HWY_INLINE bool SumsForNext(const ReverseStep* next) { return next != nullptr && next->sums_ready; }

// The sums of the step after `step`, if it takes any.
template <class D>
HWY_INLINE NextRows<D> NextRowsOf(D d, const ReverseSteps& program, const ReverseStep& step,
                                  const ReverseStep* next, hn::TFromD<D>* scratch) {
  const Index row = program.forward.row_vectors;
  const Index group = kGroupRows * row * static_cast<Index>(hn::Lanes(d));
  const NextRows<D> sums{d, TransposedJobOf(d, SumsForNext(next) ? *next : step, row, scratch),
                         scratch + group};
  if (SumsForNext(next)) sums.Start();
  return sums;
}

template <class D>
HWY_INLINE AdjointTarget<D> TargetOf(D d, const ReverseStep& step, const ReverseStep* next,
                                     Index stride, hn::TFromD<D>* adjoints,
                                     const NextRows<D>& sums) {
  AdjointTarget<D> target{
      .d = d,
      .adjoint = {.map = step.source_adjoint == kNoSlot ? nullptr
                                                        : adjoints + step.source_adjoint * stride,
                  .first = step.source_first},
      .way = step.source_adjoint == kNoSlot ? AdjointWay::kSum : AdjointWay::kMap,
      .next = nullptr,
      .origin = nullptr,
      .stays = false,
      .sum = hn::Zero(d)};
  if (!SumsForNext(next)) return target;
  target.next = &sums;
  target.origin = sums.Origin(0);
  target.stays = next->adjoint_stays;
  const bool rows_alone = step.source_first && !target.stays;
  target.way = rows_alone ? AdjointWay::kRows : AdjointWay::kRowsAndMap;
  return target;
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
