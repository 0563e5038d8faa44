// What the loops over windows know of their source and of their consumer: pointers to functions
// that are called once per group of rows, so that the loops are compiled once for all of them.
// Included once per target.
//
// A source gives any of its pixels:
//
//   source.Copy(pixels, count, to, step)        vector x · step of `to`: pixel pixels[x], x < count
//   source.InPlace(pixels, count)               of sources that have their pixels in memory: pixel
//                                               pixels.first, the others pixels.step vectors apart;
//                                               taken as by Copy. nullptr: only Copy gives them
//
// A consumer is given sums pixel column by pixel column:
//
//   consumer.Column(first row, x, rows, sums)   sums[k]: row `first row` + k, k < rows, all in one
//                                               group; the others have no meaning. Four sums are a
//                                               column of a whole group
//   consumer.Rows(first row, rows)              after all columns of these rows
//   consumer.StartPart(x), .FirstPart(row), .LastPart(row), .Split()
//                                               of consumers that take the columns of a whole group
//                                               in two parts (next_rows-inl.hpp)
//   consumer.KeepTotals(original)               a loop works on a copy of the consumer, so that its
//                                               members stay in registers: gives totals back
//   Consumer::kUnitOnly                         its sums are always those of unit windows
//   Consumer::kFused                            worth a loop of its own for every size of a unit
//                                               window, from sums along x to what it makes of them
//                                               (docs/decisions/kernel_copies.md)
#pragma once

#include "engine/lanes/sums_along_y-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

template <class D>
struct SourceHandle {
  using T = hn::TFromD<D>;
  const void* source;
  void (*copy)(const void* source, const PixelRow& pixels, Index count, T* to, Index step);
  const T* (*in_place)(const void* source, const PixelRow& pixels, Index count);  // or nullptr

  HWY_INLINE void Copy(const PixelRow& pixels, Index count, T* to, Index step) const {
    copy(source, pixels, count, to, step);
  }
  HWY_INLINE const T* InPlace(const PixelRow& pixels, Index count) const {
    return in_place == nullptr ? nullptr : in_place(source, pixels, count);
  }
};

template <class D, class Source>
void CopyFrom(const void* source, const PixelRow& pixels, Index count, hn::TFromD<D>* to,
              Index step) {
  static_cast<const Source*>(source)->Copy(pixels, count, to, step);
}

template <class D, class Source>
const hn::TFromD<D>* TakeInPlace(const void* source, const PixelRow& pixels, Index count) {
  return static_cast<const Source*>(source)->InPlace(pixels, count);
}

template <class D, class Source>
HWY_INLINE SourceHandle<D> SourceOf(D, const Source& source) {
  if constexpr (requires { source.InPlace(PixelRow{}, Index{}); }) {
    return {&source, &CopyFrom<D, Source>, &TakeInPlace<D, Source>};
  } else {
    return {&source, &CopyFrom<D, Source>, nullptr};
  }
}

// Columns of a group whose sums lie in a buffer between a loop over windows and a consumer.
constexpr Index kColumnsAtOnce = 16;

// Sums in a buffer: those of column x at x · kGroupRows, row by row.
template <class D>
struct ConsumerLoops {
  using T = hn::TFromD<D>;
  // Columns from, …, to − 1 of the whole group at row y, in the part that starts at column `part`.
  void (*group)(const void*, Index y, Index part, Index from, Index to, const T* sums);
  // Of 1 or 2 rows, which a unit window left over.
  void (*pair)(const void*, Index y, Index rows, Index from, Index to, const T* sums);
  // Of fewer rows than a group has, every pixel by itself.
  void (*pixels)(const void*, Index y, Index rows, Index from, Index to, const T* sums);
  void (*rows)(const void*, Index y, Index rows);
  Index (*split)(const void*);  // columns of the first part, or 0
  void (*first_part)(const void*, Index y);
  void (*last_part)(const void*, Index y);
  // Of unit windows of every size: the columns of a part of a whole group, summed along y on the
  // way. nullptr: through `group`.
  void (*fused[kNumUnitSizes])(const void*, const RowsAlongX<D>&, Index from, Index to, Index y);
};

// A consumer that never sees some of the sums has no loops for them: what calls them all the same
// is a mistake in a program, and ends the process.
template <class D, class Consumer>
struct LoopsOf {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  static HWY_INLINE const Consumer& Get(const void* consumer) {
    return *static_cast<const Consumer*>(consumer);
  }
  template <int G>
  static HWY_INLINE void Load(D d, const T* sums, V (&values)[G]) {
    HWY_UNROLL(4)
    for (int k = 0; k < G; ++k)
      values[k] = hn::Load(d, sums + k * static_cast<Index>(hn::Lanes(d)));
  }
  static HWY_INLINE Index GroupStep(D d) { return kGroupRows * static_cast<Index>(hn::Lanes(d)); }

  static void Group(const void* original, Index y, Index part, Index from, Index to,
                    const T* sums) {
    const D d;
    Consumer consumer = Get(original);  // its members in registers
    if constexpr (requires { consumer.StartPart(part); }) consumer.StartPart(part);
    const Index n = GroupStep(d), count = to - from;
    for (Index x = 0; x < count; ++x) {
      V values[kGroupRows];
      Load(d, sums + x * n, values);
      consumer.Column(y, from + x, kGroupRows, values);
    }
    consumer.KeepTotals(Get(original));
  }
  static void Pair(const void* original, Index y, Index rows, Index from, Index to, const T* sums) {
    const D d;
    const Consumer consumer = Get(original);
    const Index n = GroupStep(d), count = to - from;
    for (Index x = 0; x < count; ++x) {
      V values[2];
      Load(d, sums + x * n, values);
      consumer.Column(y, from + x, rows, values);
    }
    consumer.KeepTotals(Get(original));
  }
  static void Pixels(const void* original, Index y, Index rows, Index from, Index to,
                     const T* sums) {
    const D d;
    const Consumer& consumer = Get(original);
    const Index n = GroupStep(d), count = to - from;
    for (Index x = 0; x < count; ++x) {
      for (Index k = 0; k < rows; ++k) {
        V values[1];
        Load(d, sums + x * n + k * static_cast<Index>(hn::Lanes(d)), values);
        consumer.Column(y + k, from + x, 1, values);
      }
    }
  }
  template <int K>
  static void Fused(const void* original, const RowsAlongX<D>& along_x, Index from, Index to,
                    Index y) {
    const D d;
    Consumer consumer = Get(original);
    if constexpr (requires { consumer.StartPart(from); }) consumer.StartPart(from);
    SumColumns<K, kGroupRows>(d, along_x, from, to, y, [&](Index x, const auto& sums) HWY_ATTR {
      consumer.Column(y, x, kGroupRows, sums);
    });
    consumer.KeepTotals(Get(original));
  }
  static void Rows(const void* consumer, Index y, Index rows) { Get(consumer).Rows(y, rows); }
  static Index Split(const void* consumer) {
    if constexpr (requires { Get(consumer).Split(); }) return Get(consumer).Split();
    return 0;
  }
  static void FirstPart([[maybe_unused]] const void* consumer, [[maybe_unused]] Index y) {
    if constexpr (requires { Get(consumer).Split(); }) Get(consumer).FirstPart(y);
  }
  static void LastPart([[maybe_unused]] const void* consumer, [[maybe_unused]] Index y) {
    if constexpr (requires { Get(consumer).Split(); }) Get(consumer).LastPart(y);
  }

  // The portable build is for machines that are not asked for speed.
  static constexpr bool kFuses =
      Consumer::kFused && HWY_TARGET != HWY_SCALAR && HWY_TARGET != HWY_EMU128;

  static constexpr ConsumerLoops<D> Make() {
    ConsumerLoops<D> loops{};
    if constexpr (!(kFuses && Consumer::kUnitOnly)) loops.group = &Group;
    if constexpr (!Consumer::kUnitOnly) loops.pixels = &Pixels;
    loops.pair = &Pair;
    loops.rows = &Rows;
    loops.split = &Split;
    loops.first_part = &FirstPart;
    loops.last_part = &LastPart;
    if constexpr (kFuses) {
      loops.fused[UnitIndex<2>()] = &Fused<2>;
      loops.fused[UnitIndex<3>()] = &Fused<3>;
      loops.fused[UnitIndex<4>()] = &Fused<4>;
      loops.fused[UnitIndex<5>()] = &Fused<5>;
      loops.fused[UnitIndex<7>()] = &Fused<7>;
    }
    return loops;
  }
  static constexpr ConsumerLoops<D> kLoops = Make();
};

template <class D>
struct ConsumerHandle {
  using T = hn::TFromD<D>;
  const void* consumer;
  const ConsumerLoops<D>* loops;

  HWY_INLINE void Rows(Index y, Index rows) const { loops->rows(consumer, y, rows); }
};

// What a consumer has to have; what else it can have says the head of this file.
template <class C, class D>
concept WindowConsumer = requires(const C& consumer, Index i, const hn::Vec<D> (&one)[1],
                                  const hn::Vec<D> (&group)[kGroupRows]) {
  bool(C::kUnitOnly);
  bool(C::kFused);
  consumer.Column(i, i, i, one);
  consumer.Column(i, i, i, group);
  consumer.Rows(i, i);
  consumer.KeepTotals(consumer);
};

template <class D, class Consumer>
HWY_INLINE ConsumerHandle<D> ConsumerOf(D, const Consumer& consumer) {
  static_assert(WindowConsumer<Consumer, D>);
  return {&consumer, &LoopsOf<D, Consumer>::kLoops};
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
