// The steps of a lane program, forwards, on one pack of pairs: one row image against one pack of
// column images. Included once per target.
#if defined(GRAMTILE_LANES_STEP_INL_HPP_) == defined(HWY_TARGET_TOGGLE)
#ifdef GRAMTILE_LANES_STEP_INL_HPP_
#undef GRAMTILE_LANES_STEP_INL_HPP_
#else
#define GRAMTILE_LANES_STEP_INL_HPP_
#endif

#include "engine/lanes/relu-inl.hpp"
#include "engine/lanes/window-inl.hpp"

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
  HWY_UNROLL(2)
  for (int k = 0; k < kStep; ++k) {
    const Index i = pixel + k * second, at = i * lanes;
    half_inverse[k] =
        hn::Mul(hn::Set(d, o.row_half_inverse[i]), hn::Load(d, o.column_inverse + at));
    xy[k] = hn::Load(d, o.map + at);
    sx[k] = hn::Set(d, o.row_root[i]);
    sy[k] = hn::Load(d, o.column_root + at);
  }
}

// Twice the relu of pixels `pixel` and `pixel` + second.
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
    TwiceReluAt<kNonneg>(d, o, i, 1, f);
    for (int k = 0; k < kStep; ++k) hn::Store(f[k], d, to + (i + k) * lanes);
  }
  if (i < n) {
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
  D d;
  Affine<D> affine;
  T* output;
  Index width;

  template <int G>
  HWY_INLINE void Column(Index y, Index x, Index rows, const V (&sums)[G]) const {
    const Index lanes = static_cast<Index>(hn::Lanes(d));
    const Index first = (y * width + x) * lanes;
    V values[G];
    // Addends first: the output may overwrite them.
    HWY_UNROLL(4)
    for (int k = 0; k < G; ++k) {
      values[k] = affine(d, sums[k], first + (k < rows ? k : 0) * width * lanes);
    }
    HWY_UNROLL(4)
    for (int k = 0; k < G; ++k) {
      if (k < rows) hn::Store(values[k], d, output + first + k * width * lanes);
    }
  }
  HWY_INLINE void Rows(Index, Index) const {}
  HWY_INLINE void KeepTotals(const StoreAffine&) const {}
};

template <class D>
HWY_INLINE WindowJob<hn::TFromD<D>> WindowJobOf(D d, const LaneStep& step, Index row_vectors,
                                                hn::TFromD<D>* scratch) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  hn::TFromD<D>* sums = scratch + (kNumRowBuffers * row_vectors + step.sums_offset) * lanes;
  return {step.input, step.output, step.geometry, scratch, sums, step.sums_ready};
}

template <class D, class Source, class Consumer>
HWY_INLINE void RunStep(D d, const LaneStep& step, Index row_vectors, hn::TFromD<D>* scratch,
                        const Source& source, const Consumer& consumer) {
  if (!step.pointwise()) {
    return WindowSums(d, WindowJobOf(d, step, row_vectors, scratch), source, consumer);
  }
  for (Index y = 0; y < step.output.height; ++y) {
    HandOverRow(d, consumer, y, step.output.width,
                [&](Index x) HWY_ATTR { return source.At(y * step.output.width + x); });
  }
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

template <class D, class Consumer>
HWY_INLINE void RunStepFromSource(D d, const LaneSteps& program, const LaneStep& step,
                                  const PackOperands<hn::TFromD<D>>& pack,
                                  const Consumer& consumer) {
  const Index lanes = static_cast<Index>(hn::Lanes(d)), row = program.row_vectors;
  const Index width = step.input.width;
  switch (step.source) {
    case RowSource::kImages:
      return RunStep(d, step, row, pack.scratch, ImageSource(d, program, step, pack), consumer);
    case RowSource::kMap: {
      const auto* map =
          pack.slots + (step.input_slot * program.slot_stride + step.input_offset) * lanes;
      return RunStep(d, step, row, pack.scratch, MapRows<D>{d, map, width}, consumer);
    }
    case RowSource::kReluNonneg: {
      const ReluRows<D, true> source{d, ReluSource(d, program, step, pack), width};
      return RunStep(d, step, row, pack.scratch, source, consumer);
    }
    case RowSource::kRelu: {
      const ReluRows<D, false> source{d, ReluSource(d, program, step, pack), width};
      return RunStep(d, step, row, pack.scratch, source, consumer);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
#endif
