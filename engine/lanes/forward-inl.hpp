// The lane program run forwards on one pack of pairs: one row image against one pack of column
// images. Included once per target.
#if defined(GRAMTILE_LANES_FORWARD_INL_HPP_) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAMTILE_LANES_FORWARD_INL_HPP_
#undef GRAMTILE_LANES_FORWARD_INL_HPP_
#else
#define GRAMTILE_LANES_FORWARD_INL_HPP_
#endif

#include "engine/lanes/relu-inl.hpp"
#include "engine/lanes/window-inl.hpp"
#include "hwy/cache_control.h"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// mean over channels of x·y
template <class D>
struct ImageRows {
  using T = hn::TFromD<D>;
  D d;
  const T* row_image;
  const T* column_images;
  Index width, num_pixels, channels;
  T inverse_channels;

  HWY_INLINE hn::Vec<D> At(Index pixel) const {
    const Index lanes = static_cast<Index>(hn::Lanes(d));
    auto sum = hn::Mul(hn::Set(d, row_image[pixel]), hn::Load(d, column_images + pixel * lanes));
    for (Index c = 1; c < channels; ++c) {
      const Index i = c * num_pixels + pixel;
      sum = hn::MulAdd(hn::Set(d, row_image[i]), hn::Load(d, column_images + i * lanes), sum);
    }
    return channels == 1 ? sum : hn::Mul(sum, hn::Set(d, inverse_channels));
  }
  HWY_INLINE void Row(Index y, T* to) const {
    for (Index x = 0; x < width; ++x)
      hn::Store(At(y * width + x), d, to + x * static_cast<Index>(hn::Lanes(d)));
  }
};

template <class D>
struct MapRows {
  using T = hn::TFromD<D>;
  D d;
  const T* map;
  Index width;

  HWY_INLINE hn::Vec<D> At(Index pixel) const {
    return hn::Load(d, map + pixel * static_cast<Index>(hn::Lanes(d)));
  }
  HWY_INLINE void Row(Index y, T* to) const {
    for (Index x = 0; x < width; ++x)
      hn::Store(At(y * width + x), d, to + x * static_cast<Index>(hn::Lanes(d)));
  }
};

// Pixels by which maps are fetched from L2 ahead of their use.
constexpr Index kPrefetchPixels = 16;

// What the relu reads: a map and the variance maps of the row image (row_*, one value a pixel) and
// of the pack (column_*, one vector a pixel).
template <class T>
struct ReluOperands {
  const T* map;
  const T *row_root, *row_half_inverse;
  const T *column_root, *column_inverse;

  HWY_INLINE ReluOperands From(Index pixel, Index lanes) const {
    return {map + pixel * lanes, row_root + pixel, row_half_inverse + pixel,
            column_root + pixel * lanes, column_inverse + pixel * lanes};
  }
};

// Loads pixels `pixel` and `pixel` + second (0: the same again).
template <class D, class V = hn::Vec<D>>
HWY_INLINE void LoadReluOperands(D d, const ReluOperands<hn::TFromD<D>>& o, Index pixel,
                                 Index second, V (&xy)[kStep], V (&sx)[kStep], V (&sy)[kStep],
                                 V (&half_inverse)[kStep]) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  GRAMTILE_EACH(k) {
    const Index i = pixel + k * second, at = i * lanes;
    half_inverse[k] =
        hn::Mul(hn::Set(d, o.row_half_inverse[i]), hn::Load(d, o.column_inverse + at));
    xy[k] = hn::Load(d, o.map + at);
    sx[k] = hn::Set(d, o.row_root[i]);
    sy[k] = hn::Load(d, o.column_root + at);
  }
}

template <bool kNonneg, class D, class V = hn::Vec<D>>
HWY_INLINE void TwiceReluAt(D d, const ReluOperands<hn::TFromD<D>>& o, Index pixel, Index second,
                            V (&f)[kStep]) {
  V xy[kStep], sx[kStep], sy[kStep], half_inverse[kStep];
  LoadReluOperands(d, o, pixel, second, xy, sx, sy, half_inverse);
  TwiceRelu<kNonneg>(d, xy, sx, sy, half_inverse, f);
}

// to[i] = twice the relu of pixel `first` + i, i < n. The operands come by reference: a struct
// passed by value is read back from the stack before its stores have landed, which costs 80 cycles
// a row.
template <bool kNonneg, class D>
HWY_NOINLINE void TwiceReluRow(D d, const ReluOperands<hn::TFromD<D>>& operands, Index first,
                               hn::TFromD<D>* to, Index n) {
  const ReluOperands<hn::TFromD<D>> o = operands.From(first, static_cast<Index>(hn::Lanes(d)));
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  hn::Vec<D> f[kStep];
  Index i = 0;
  for (; i + kStep <= n; i += kStep) {
    GRAMTILE_EACH(k) {
      const Index ahead = (i + k + kPrefetchPixels) * lanes;
      hwy::Prefetch(o.map + ahead);
      hwy::Prefetch(o.column_root + ahead);
      hwy::Prefetch(o.column_inverse + ahead);
    }
    TwiceReluAt<kNonneg>(d, o, i, 1, f);
    GRAMTILE_EACH(k) hn::Store(f[k], d, to + (i + k) * lanes);
  }
  for (; i < n; ++i) {
    TwiceReluAt<kNonneg>(d, o, i, 0, f);
    hn::Store(f[0], d, to + i * lanes);
  }
}

template <class D, bool kNonneg>
struct ReluRows {
  using T = hn::TFromD<D>;
  D d;
  ReluOperands<T> operands;
  Index width;

  HWY_INLINE void Row(Index y, T* to) const {
    TwiceReluRow<kNonneg>(d, operands, y * width, to, width);
  }
  HWY_INLINE hn::Vec<D> At(Index pixel) const {
    hn::Vec<D> f[kStep];
    TwiceReluAt<kNonneg>(d, operands, pixel, 0, f);
    return f[0];
  }
};

// weight · sum + bias (+ addend_weight · addend) to the output slot
template <class D, bool kAddend>
struct StoreAffine {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  D d;
  T* output;
  const T* addend;
  T weight_, bias_, addend_weight_;

  HWY_INLINE void Start(Index) const {}
  HWY_INLINE void Finish(Index, Index) const {}
  HWY_INLINE void operator()(Index pixel, V sum) const {
    const Index at = pixel * static_cast<Index>(hn::Lanes(d));
    V value = hn::MulAdd(sum, hn::Set(d, weight_), hn::Set(d, bias_));
    if (kAddend) value = hn::MulAdd(hn::Load(d, addend + at), hn::Set(d, addend_weight_), value);
    hn::Store(value, d, output + at);
  }
};

template <class D, class Source, class Epilogue>
HWY_INLINE void RunStep(D d, const LaneStep& step, Index row_vectors, hn::TFromD<D>* scratch,
                        const Source& source, const Epilogue& epilogue) {
  if (step.pointwise()) {
    const Index n = step.output.num_pixels();
    for (Index pixel = 0; pixel < n; ++pixel) epilogue(pixel, source.At(pixel));
    return;
  }
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const Index row = row_vectors * lanes;
  const WindowJob<hn::TFromD<D>> job{step.input, step.output,       step.geometry,
                                     scratch,    scratch + 2 * row, scratch + row};
  WindowSums(d, job, source, epilogue);
}

template <class D>
HWY_INLINE ImageRows<D> ImageSource(D d, const LaneSteps& program, const LaneStep& step,
                                    const PackOperands<hn::TFromD<D>>& pack) {
  using T = hn::TFromD<D>;
  return {d,
          pack.row,
          pack.pack,
          step.input.width,
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
  return {pack.slots + (step.input_slot * program.slot_stride + step.input_offset) * lanes,
          pack.row + root, pack.row + inverse, pack.pack + root * lanes,
          pack.pack + inverse * lanes};
}

template <class D, class Epilogue>
HWY_INLINE void RunStepFromSource(D d, const LaneSteps& program, const LaneStep& step,
                                  const PackOperands<hn::TFromD<D>>& pack,
                                  const Epilogue& epilogue) {
  const Index lanes = static_cast<Index>(hn::Lanes(d)), row = program.row_vectors;
  const Index width = step.input.width;
  switch (step.source) {
    case RowSource::kImages:
      return RunStep(d, step, row, pack.scratch, ImageSource(d, program, step, pack), epilogue);
    case RowSource::kMap: {
      const auto* map =
          pack.slots + (step.input_slot * program.slot_stride + step.input_offset) * lanes;
      return RunStep(d, step, row, pack.scratch, MapRows<D>{d, map, width}, epilogue);
    }
    case RowSource::kReluNonneg: {
      const ReluRows<D, true> source{d, ReluSource(d, program, step, pack), width};
      return RunStep(d, step, row, pack.scratch, source, epilogue);
    }
    case RowSource::kRelu: {
      const ReluRows<D, false> source{d, ReluSource(d, program, step, pack), width};
      return RunStep(d, step, row, pack.scratch, source, epilogue);
    }
  }
}

template <class D>
void RunForward(D d, const LaneSteps& program, const PackOperands<hn::TFromD<D>>& pack) {
  using T = hn::TFromD<D>;
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  for (Index i = 0; i < program.num_steps; ++i) {
    const LaneStep& step = program.steps[i];
    T* output = pack.slots + (step.output_slot * program.slot_stride + step.output_offset) * lanes;
    const T w = static_cast<T>(step.weight), b = static_cast<T>(step.bias);
    if (step.addend_slot == kNoSlot) {
      RunStepFromSource(d, program, step, pack,
                        StoreAffine<D, false>{d, output, nullptr, w, b, T(0)});
    } else {
      const T* addend =
          pack.slots + (step.addend_slot * program.slot_stride + step.addend_offset) * lanes;
      RunStepFromSource(
          d, program, step, pack,
          StoreAffine<D, true>{d, output, addend, w, b, static_cast<T>(step.addend_weight)});
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
#endif
