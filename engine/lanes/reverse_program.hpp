// Turns a lane program that keeps its values into the steps of its backward pass, and raw
// derivatives into derivatives by parameter.
#pragma once

#include <span>
#include <vector>

#include "engine/lanes/lane_program.hpp"
#include "engine/lanes/reverse_step.hpp"

namespace gramtile {

/// Immutable; shared by all threads. Refers to the lane program it was made from.
struct ReverseProgram {
  const LaneProgram* forward = nullptr;
  std::vector<ReverseStep> steps;     ///< last forward step first
  std::vector<DerivativeTerm> terms;  ///< `step` counted in `steps`, here and in `mixtures`
  std::vector<MixtureTerms> mixtures;
  Index num_adjoints = 0;   ///< slots of adjoint maps
  Index group_vectors = 0;  ///< extent of the group buffer
  Index seed_adjoint = 0;
  Index num_parameters = 0;
  /// A gradient can go from the last relu's input straight back (ForwardMode::kGradientTurn).
  bool can_turn = false;

  Index num_raw() const { return static_cast<Index>(steps.size()) * kNumRaw; }
  /// The mode of a gradient's two passes, by whether K is asked for as well.
  ForwardMode gradient_mode(bool with_kernel) const {
    return can_turn && !with_kernel ? ForwardMode::kGradientTurn : ForwardMode::kGradient;
  }
  /// The form the kernels take, behind a forward pass in this mode. Valid as long as this object
  /// and the lane program.
  ReverseSteps view(ForwardMode mode = ForwardMode::kKernel) const;
};

/// `forward` must have been compiled with keep_values.
ReverseProgram reverse_lanes(const LaneProgram& forward, const Program& program);

}  // namespace gramtile
