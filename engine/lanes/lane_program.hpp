// Lowers a Program to the steps that the SIMD kernels run: relus are folded into the window sum
// that reads them, other activations have steps of their own, sums are folded
// into the convolution that ends their last branch, and slots are shared.
#pragma once

#include <vector>

#include "engine/lanes/lane_step.hpp"
#include "engine/lanes/scratch_room.hpp"
#include "engine/network/program.hpp"

namespace gramtile {

/// A step's part in a parameter's derivative: coefficient · raw derivative (reverse_step.hpp).
struct DerivativeTerm {
  Index step = 0;
  int raw = 0;  ///< RawDerivative
  Index parameter = 0;
  double coefficient = 0;
};

/// A mixture's part in the derivatives by its logits. With g_b = factor · raw derivative of branch
/// b, ∂K/∂logit_a = w_a Σ_b w_b (g_a − g_b): differences first, since of a dominant branch the rest
/// cancels (docs/mathematics.md, eq. 15).
struct MixtureTerms {
  struct Branch {
    Index step = 0;
    int raw = 0;  ///< RawDerivative
    double factor = 0;
    double weight = 0;  ///< softmax(logits)
  };
  Index first_logit = 0;  ///< parameter of branch 0's; the others follow
  std::vector<Branch> branches;
};

/// A plain map whose xx derivatives need: where it is after a variance pass and where it goes.
struct ExtraMap {
  Index slot = 0;
  Index offset = 0;  ///< first pixel among the extra maps of a variance stack
  Index num_pixels = 0;
};

/// Where the numbers of an activation's input stand in a variance stack.
struct ActivationMap {
  Activation activation;
  Index offset = 0;  ///< first pixel
  Index num_pixels = 0;
};

/// The values of the program that a step reads and makes (its slots hold others at other times). An
/// addend that is the step's own sum so far is the output.
struct StepValues {
  ValueId source = 0, addend = 0, output = 0;
};

/// The steps and the buffers they need. Immutable; shared by all threads.
struct LaneProgram {
  ImageShape input;
  std::vector<LaneStep> steps;
  std::vector<StepValues> step_values;  ///< by step
  Index num_slots = 0;
  Index slot_pixels = 0;  ///< extent of a slot [vectors]
  Index output_slot = 0;
  ValueId output_value = 0;
  Index row_vectors = 0;      ///< extent of a row buffer [vectors]
  ScratchRoom scratch_room;   ///< gives all sums along x their places
  Index sums_vectors = 0;     ///< extent of all sums along x [vectors]
  Index scratch_vectors = 0;  ///< of all scratch: row buffers, then sums along x [vectors]
  std::vector<ActivationMap> activation_maps;  ///< by ActivationOp::number
  std::vector<Index> value_slots;              ///< by ValueId: slot, kNoSlot where never stored
  Index num_map_pixels = 0;
  bool keeps_values = false;  ///< a tape
  /// K(x, y) is what stands in the output slot times 2^−(output_exponent + s_x + s_y), s_x the
  /// image_exponent() of x where `scales_images`, else 0.
  int output_exponent = 0;
  bool scales_images = false;
  // Filled for a tape only:
  std::vector<DerivativeTerm> terms;
  std::vector<MixtureTerms> mixtures;
  std::vector<ExtraMap> extra_maps;
  Index num_extra_pixels = 0;

  /// The form the kernels take. Valid as long as this object.
  LaneSteps view(ForwardMode mode = ForwardMode::kKernel) const;
};

/// `keep_values`: every value that is stored keeps a slot of its own, as a tape for the backward
/// pass.
LaneProgram compile_lanes(const Program& program, bool keep_values);

/// The same with given powers of two for the program's values, as value_exponents().
LaneProgram compile_lanes(const Program& program, bool keep_values,
                          const std::vector<int>& exponents);

}  // namespace gramtile
