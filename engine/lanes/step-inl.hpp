// The steps of a lane program, forwards, on one pack of pairs: one row image against one pack of
// column images. Included once per target.
#pragma once

#include "engine/activations/relu-inl.hpp"
#include "engine/lanes/window-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// A source's Copy (window-inl.hpp), pixel by pixel.
template <class D, class Source>
HWY_INLINE void CopyPixels(D d, const Source& source, const PixelRow& pixels, Index count,
                           hn::TFromD<D>* to, Index step) {
  const Index n = step * static_cast<Index>(hn::Lanes(d));
  for (Index x = 0; x < count; ++x) hn::Store(source.At(pixels[x]), d, to + x * n);
}

// mean over channels of x·y
template <class D>
struct ImageRows {
  using T = hn::TFromD<D>;
  D d;
  const T* row_image;
  const T* column_images;
  Index num_pixels, channels;
  T inverse_channels;

  HWY_INLINE hn::Vec<D> Product(Index i) const {
    const Index lanes = static_cast<Index>(hn::Lanes(d));
    return hn::Mul(hn::Set(d, row_image[i]), hn::Load(d, column_images + i * lanes));
  }
  HWY_INLINE hn::Vec<D> At(Index pixel) const {
    auto sum = Product(pixel);
    for (Index c = 1; c < channels; ++c) {
      const Index i = c * num_pixels + pixel, lanes = static_cast<Index>(hn::Lanes(d));
      sum = hn::MulAdd(hn::Set(d, row_image[i]), hn::Load(d, column_images + i * lanes), sum);
    }
    return channels == 1 ? sum : hn::Mul(sum, hn::Set(d, inverse_channels));
  }
  HWY_INLINE void Copy(const PixelRow& pixels, Index count, T* to, Index step) const {
    if (channels > 1) return CopyPixels(d, *this, pixels, count, to, step);
    const ImageRows source = *this;  // in registers
    const Index n = step * static_cast<Index>(hn::Lanes(d));
    for (Index x = 0; x < count; ++x) hn::Store(source.Product(pixels[x]), d, to + x * n);
  }
};

template <class D>
struct MapRows {
  using T = hn::TFromD<D>;
  D d;
  const T* map;

  HWY_INLINE hn::Vec<D> At(Index pixel) const {
    return hn::Load(d, map + pixel * static_cast<Index>(hn::Lanes(d)));
  }
  HWY_INLINE void Copy(const PixelRow& pixels, Index count, T* to, Index step) const {
    CopyPixels(d, *this, pixels, count, to, step);
  }
  HWY_INLINE const T* InPlace(const PixelRow& pixels, Index) const {
    return map + pixels.first * static_cast<Index>(hn::Lanes(d));
  }
};

// A tile has more rows than L2 holds, and what the processor fetches ahead by itself comes too
// late: 15 % of a tile's time. Two groups of rows ahead were best of one to seven, into L1.
constexpr Index kRowsAhead = 2 * kGroupRows;

// Pixels that a pack's values are fetched ahead from L2, where nothing is put on a tape: 2 % on an
// Intel Xeon. 40 pixels gain nothing, a whole group of rows loses.
constexpr Index kPixelsAhead = 4 * kGroupRows;

// May point anywhere: a prefetch never fails.
template <class T>
HWY_INLINE void PrefetchLines(const T* from, Index first, Index count) {
  constexpr Index kLineBytes = 64;
  const auto bytes = static_cast<Index>(sizeof(T));
  const char* const base = reinterpret_cast<const char*>(from);
  for (Index i = first * bytes; i < (first + count) * bytes; i += kLineBytes)
    __builtin_prefetch(base + i);
}

// What the relu reads: a map and the variance maps of the row image (row_*, one value a pixel) and
// of the pack (column_*, one vector a pixel).
template <class T>
struct ReluOperands {
  const T* map;
  const T *row_root, *row_half_inverse;
  const T *column_root, *column_inverse;

  // The row image's values of `count` pixels from `pixel` on will be read soon.
  HWY_INLINE void PrefetchRow(Index pixel, Index count) const {
    PrefetchLines(row_root, pixel, count);
    PrefetchLines(row_half_inverse, pixel, count);
  }
  // The pack's values from element `at` on will be read soon.
  HWY_INLINE void PrefetchPack(Index at) const {
    __builtin_prefetch(column_root + at);
    __builtin_prefetch(column_inverse + at);
  }
};

// Vector k · step of `to`: twice the relu of pixel pixels[x + k], k < N.
template <bool kNonneg, int N, class D, class V = hn::Vec<D>>
HWY_INLINE void TwiceReluAt(D d, const ReluOperands<hn::TFromD<D>>& o, const PixelRow& pixels,
                            Index x, hn::TFromD<D>* to, Index step) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  V xy[N], sx[N], sy[N], half_inverse[N], u[N], f[N];
  GRAMTILE_EACH(k) {
    const Index i = pixels[x + k], at = i * lanes;
    half_inverse[k] =
        hn::Mul(hn::Set(d, o.row_half_inverse[i]), hn::Load(d, o.column_inverse + at));
    xy[k] = hn::Load(d, o.map + at);
    sx[k] = hn::Set(d, o.row_root[i]);
    sy[k] = hn::Load(d, o.column_root + at);
  }
  TwiceRelu<kNonneg, false>(d, xy, sx, sy, half_inverse, u, f);
  GRAMTILE_EACH(k) hn::Store(f[k], d, to + k * step * lanes);
}

// The operands come by reference: a struct passed by value is read back from the stack before its
// stores have landed, which costs 80 cycles a row.
template <bool kNonneg, class D>
HWY_NOINLINE void CopyTwiceRelu(D d, const ReluOperands<hn::TFromD<D>>& operands,
                                const PixelRow& pixels_, Index count, hn::TFromD<D>* to,
                                Index step) {
  const ReluOperands<hn::TFromD<D>> o = operands;
  const PixelRow pixels = pixels_;
  const Index n = step * static_cast<Index>(hn::Lanes(d));
  constexpr int kN = kTogether<hn::TFromD<D>>;
  Index x = 0;
  for (; x + kN <= count; x += kN) TwiceReluAt<kNonneg, kN>(d, o, pixels, x, to + x * n, step);
  for (; x < count; ++x) TwiceReluAt<kNonneg, 1>(d, o, pixels, x, to + x * n, step);
}

template <class D, bool kNonneg>
struct ReluRows {
  using T = hn::TFromD<D>;
  D d;
  ReluOperands<T> operands;

  HWY_INLINE void Copy(const PixelRow& pixels, Index count, T* to, Index step) const {
    CopyTwiceRelu<kNonneg>(d, operands, pixels, count, to, step);
  }
};

// weight · sum + bias + addend_weight · addend. No addend: nullptr.
template <class D>
struct Affine {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  const T* addend;
  T weight, bias, addend_weight;

  HWY_INLINE V operator()(D d, V sum, Index at) const {
    const V value = hn::MulAdd(sum, hn::Set(d, weight), hn::Set(d, bias));
    if (addend == nullptr) return value;
    return hn::MulAdd(hn::Load(d, addend + at), hn::Set(d, addend_weight), value);
  }
};

// The output of a step to its slot.
template <class D>
struct StoreAffine {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  static constexpr bool kUnitOnly = false, kFused = false;
  D d;
  Affine<D> affine;
  T* output;
  MapShape shape;

  template <int G>
  HWY_INLINE void Column(Index y, Index x, Index rows, const V (&sums)[G]) const {
    const Index lanes = static_cast<Index>(hn::Lanes(d));
    const Index first = FirstPixel<G>(shape, y, x) * lanes;
    V values[G];
    // Addends first: the output may overwrite them.
    HWY_UNROLL(4)
    for (int k = 0; k < G; ++k) {
      values[k] = affine(d, sums[k], first + (k < rows ? k : 0) * lanes);
    }
    HWY_UNROLL(4)
    for (int k = 0; k < G; ++k) {
      if (k < rows) hn::Store(values[k], d, output + first + k * lanes);
    }
  }
  HWY_INLINE void Rows(Index, Index) const {}
  HWY_INLINE void KeepTotals(const StoreAffine&) const {}
};

template <class D>
HWY_INLINE WindowJob<hn::TFromD<D>> WindowJobOf(D d, const LaneStep& step, Index row_vectors,
                                                hn::TFromD<D>* scratch) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const auto at = [&](Index vectors) HWY_ATTR { return scratch + vectors * lanes; };
  return {step.input,
          step.output,
          step.geometry,
          scratch,
          at(kZeroRow * row_vectors),
          at(kNumRowBuffers * row_vectors + step.sums_offset),
          step.sums_ready};
}

// The row that stands for rows outside a map: written by nobody else, so once at the start of a
// pass.
template <class D>
HWY_INLINE void ZeroRow(D d, const LaneSteps& program, hn::TFromD<D>* scratch) {
  const Index row = program.row_vectors;
  ZeroFill(d, scratch + kZeroRow * row * static_cast<Index>(hn::Lanes(d)), row);
}

template <class D>
HWY_NOINLINE void RunStep(D d, const LaneStep& step, Index row_vectors, hn::TFromD<D>* scratch,
                          const SourceHandle<D>& source, const ConsumerHandle<D>& consumer) {
  if (step.pointwise()) return SinglePixels(d, step.output, scratch, source, consumer);
  WindowSums(d, WindowJobOf(d, step, row_vectors, scratch), source, consumer);
}

template <class D>
HWY_INLINE ImageRows<D> ImageSource(D d, const LaneSteps& program,
                                    const PackOperands<hn::TFromD<D>>& pack) {
  using T = hn::TFromD<D>;
  return {d,
          pack.row,
          pack.pack,
          program.num_pixels,
          program.channels,
          T(1) / static_cast<T>(program.channels)};
}

template <class D>
HWY_INLINE ReluOperands<hn::TFromD<D>> ReluSource(D d, const LaneSteps& program,
                                                  const LaneStep& step,
                                                  const PackOperands<hn::TFromD<D>>& pack) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const Index root = program.channels * program.num_pixels + step.map_offset;
  const Index inverse = root + program.num_map_pixels;
  return {.map = pack.slots + step.input_slot * program.slot_stride * lanes,
          .row_root = pack.row + root,
          .row_half_inverse = pack.row + inverse,
          .column_root = pack.pack + root * lanes,
          .column_inverse = pack.pack + inverse * lanes};
}

template <class D>
HWY_NOINLINE void RunStepFromSource(D d, const LaneSteps& program, const LaneStep& step,
                                    const PackOperands<hn::TFromD<D>>& pack,
                                    const ConsumerHandle<D>& consumer) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const auto run = [&](const auto& source) HWY_ATTR {
    RunStep(d, step, program.row_vectors, pack.scratch, SourceOf(d, source), consumer);
  };
  switch (step.source) {
    case RowSource::kImages:
      return run(ImageSource(d, program, pack));
    case RowSource::kMap:
      return run(MapRows<D>{d, pack.slots + step.input_slot * program.slot_stride * lanes});
    case RowSource::kReluNonneg:
      return run(ReluRows<D, true>{d, ReluSource(d, program, step, pack)});
    case RowSource::kRelu:
      return run(ReluRows<D, false>{d, ReluSource(d, program, step, pack)});
    case RowSource::kPoint:
      return;  // has loops of its own (point_step-inl.hpp)
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
