// The lane program run on variances: one pack of images at a time, each its own lane, in double.
// Leaves xx of every activation's input, and K(x, x) in the output slot. Included once per target.
#pragma once

#include "engine/lanes/point_step-inl.hpp"
#include "engine/lanes/poison-inl.hpp"
#include "engine/lanes/step-inl.hpp"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// mean over channels of x²
template <class D>
struct SquaredImageRows {
  D d;
  const double* images;
  Index num_pixels, channels;

  HWY_INLINE hn::Vec<D> At(Index pixel) const {
    const Index lanes = static_cast<Index>(hn::Lanes(d));
    auto sum = hn::Zero(d);
    for (Index c = 0; c < channels; ++c) {
      const auto x = hn::Load(d, images + (c * num_pixels + pixel) * lanes);
      sum = hn::MulAdd(x, x, sum);
    }
    return hn::Mul(sum, hn::Set(d, 1.0 / static_cast<double>(channels)));
  }
  HWY_INLINE void Copy(const PixelRow& pixels, Index count, double* to, Index step) const {
    CopyPixels(d, *this, pixels, count, to, step);
  }
};

// xx as it is (twice the relu of a variance), kept in the variance stack on the way.
template <class D>
struct VarianceRows {
  D d;
  const double* map;
  double* stack;

  HWY_INLINE hn::Vec<D> At(Index pixel) const {
    const Index at = pixel * static_cast<Index>(hn::Lanes(d));
    const auto xx = hn::Load(d, map + at);
    hn::Store(xx, d, stack + at);
    return xx;
  }
  HWY_INLINE void Copy(const PixelRow& pixels, Index count, double* to, Index step) const {
    CopyPixels(d, *this, pixels, count, to, step);
  }
};

template <class D>
void RunVarianceStep(D d, const LaneSteps& program, const LaneStep& step,
                     const VarianceOperands& pack, const StoreAffine<D>& consumer) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const auto run = [&](const auto& source) HWY_ATTR {
    RunStep(d, step, program.row_vectors, pack.scratch, SourceOf(d, source),
            ConsumerOf(d, consumer));
  };
  if (step.source == RowSource::kImages) {
    const SquaredImageRows<D> source{d, pack.images, program.num_pixels, program.channels};
    return run(source);
  }
  const double* map = pack.slots + step.input_slot * program.slot_stride * lanes;
  if (step.source == RowSource::kMap) {
    return run(MapRows<D>{d, map});
  }
  double* stack = pack.variances + step.map_offset * lanes;
  run(VarianceRows<D>{d, map, stack});
}

template <class D>
void RunVariances(D d, const LaneSteps& program, const VarianceOperands& pack) {
  const Index lanes = static_cast<Index>(hn::Lanes(d));
  const auto map = [&](Index slot) HWY_ATTR -> double* {
    return slot == kNoSlot ? nullptr : pack.slots + slot * program.slot_stride * lanes;
  };
  PoisonMaps(d, program, pack.slots, program.num_slots);
  ZeroRow(d, program, pack.scratch);
  for (Index i = 0; i < program.num_steps; ++i) {
    LaneStep step = program.steps[i];
    step.sums_ready = false;  // no relu to fuse: every map is stored
    PoisonScratch(d, program, pack.scratch, {});
    if (step.source == RowSource::kPoint) {
      RunVariancePoint(d, step, map(step.input_slot), pack.variances + step.map_offset * lanes,
                       map(step.output_slot));
      continue;
    }
    RunVarianceStep(
        d, program, step, pack,
        StoreAffine<D>{d,
                       {map(step.addend_slot), step.weight, step.bias, step.addend_weight},
                       map(step.output_slot),
                       step.output});
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
