// Fills what is not in use with NaN between the steps of a pass, in builds with
// GRAMTILE_CHECK_BUFFERS (preset dev): whoever reads what no step has left for it gets a result
// that no check accepts. Otherwise nothing. Included once per target.
#pragma once

#include "engine/lanes/reverse_step.hpp"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

#ifdef GRAMTILE_CHECK_BUFFERS
inline constexpr bool kPoisons = true;
#else
inline constexpr bool kPoisons = false;
#endif

template <class D>
HWY_NOINLINE void FillWithNan(D d, hn::TFromD<D>* from, Index num_vectors) {
  const Index n = static_cast<Index>(hn::Lanes(d));
  for (Index i = 0; i < num_vectors; ++i) hn::Store(hn::NaN(d), d, from + i * n);
}

// Maps that a pass is about to fill.
template <class D>
HWY_INLINE void PoisonMaps(D d, const LaneSteps& program, hn::TFromD<D>* maps, Index num_maps) {
  if constexpr (kPoisons) FillWithNan(d, maps, num_maps * program.slot_stride);
}

// All adjoint maps but that of the output, whose caller has set it where it is more than one pixel
// (tests of parts; of a network it is one, and set next).
template <class D>
HWY_INLINE void PoisonAdjoints(D d, const ReverseSteps& program, hn::TFromD<D>* adjoints) {
  const LaneSteps& forward = program.forward;
  const bool all = forward.steps[forward.num_steps - 1].output.num_pixels() == 1;
  const Index stride = forward.slot_stride * static_cast<Index>(hn::Lanes(d));
  for (Index slot = 0; slot < program.num_adjoints; ++slot) {
    if (all || slot != program.seed_adjoint) PoisonMaps(d, forward, adjoints + slot * stride, 1);
  }
}

// Sums along x that a loop finds there [vectors].
struct LiveSums {
  Index offset = 0, extent = 0;
};

HWY_INLINE LiveSums SumsFoundBy(const LaneStep& step) {
  if (!step.sums_ready) return {};
  if (is_whole_window(step.geometry, step.input, step.output)) return {step.sums_offset, 1};
  return {step.sums_offset, step.input.height * sums_stride(step.output)};
}
HWY_INLINE LiveSums SumsFoundBy(const ReverseStep& step) {
  if (!step.sums_ready) return {};
  return {step.sums_offset, step.forward.output.height * sums_stride(step.forward.input)};
}

// All of scratch but the row of zeros, which passes write at their start, and `live`.
template <class D>
HWY_INLINE void PoisonScratch(D d, const LaneSteps& program, hn::TFromD<D>* scratch,
                              const LiveSums& live) {
  if constexpr (kPoisons) {
    const Index n = static_cast<Index>(hn::Lanes(d));
    const Index sums = kNumRowBuffers * program.row_vectors, end = live.offset + live.extent;
    FillWithNan(d, scratch, kZeroRow * program.row_vectors);
    FillWithNan(d, scratch + sums * n, live.offset);
    FillWithNan(d, scratch + (sums + end) * n, program.scratch_vectors - sums - end);
  }
}

// Some step from step i on reads what the slot holds then. Looks no further than a few steps ahead.
inline bool IsRead(const LaneSteps& program, Index slot, Index i) {
  constexpr Index kStepsAhead = 64;
  if (program.keeps_values) return true;
  for (Index k = i; k < program.num_steps; ++k) {
    const LaneStep& step = program.steps[k];
    const bool source =
        step.source != RowSource::kImages && !step.sums_ready && !step.applied_before;
    if (k == i + kStepsAhead || (source && step.input_slot == slot) || step.addend_slot == slot)
      return true;
    if (step.output_slot == slot) return false;
  }
  return slot == program.output_slot;
}

// Slots that no step from step i on reads before it is written.
template <class D>
HWY_INLINE void PoisonSlots(D d, const LaneSteps& program, hn::TFromD<D>* slots, Index i) {
  if constexpr (kPoisons) {
    const Index stride = program.slot_stride * static_cast<Index>(hn::Lanes(d));
    for (Index slot = 0; slot < program.num_slots; ++slot) {
      if (!IsRead(program, slot, i)) FillWithNan(d, slots + slot * stride, program.slot_stride);
    }
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();
