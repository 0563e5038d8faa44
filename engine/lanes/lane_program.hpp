// Lowers a Program to the steps that the SIMD kernels run: relus are folded into the window sum
// that reads them, sums into the convolution that ends their last branch, and slots are shared.
#pragma once

#include <vector>

#include "engine/lanes/lane_step.hpp"
#include "engine/network/program.hpp"

namespace gramtile {

/// The steps and the buffers they need. Immutable; shared by all threads.
struct LaneProgram {
  ImageShape input;
  std::vector<LaneStep> steps;
  Index num_slots = 0;
  Index slot_pixels = 0;  ///< extent of a slot [vectors]
  Index output_slot = 0;
  Index row_vectors = 0;            ///< extent of a row buffer [vectors]
  Index scratch_vectors = 0;        ///< of all scratch: a row, a row of zeros, the ring [vectors]
  std::vector<Index> relu_offsets;  ///< by relu: first pixel of its maps in a variance stack
  std::vector<Index> value_slots;   ///< by ValueId: slot, kNoSlot where never stored
  Index num_map_pixels = 0;

  /// The form the kernels take. Valid as long as this object.
  LaneSteps view() const;
};

/// `keep_values`: every value that is stored keeps a slot of its own, as a tape for the backward
/// pass.
LaneProgram compile_lanes(const Program& program, bool keep_values);

}  // namespace gramtile
