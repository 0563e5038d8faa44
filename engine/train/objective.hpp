// What training makes small: a number L of a kernel matrix K and targets Y, and ∂L/∂K. Equations:
// docs/mathematics.md §12.
//
// Adding one: a file beside the others, and its line in objectives.cpp.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/solve/regression.hpp"
#include "engine/train/matrix_room.hpp"
#include "engine/train/objective_upstream.hpp"

namespace gramtile {

/// K̃ = K + jitter·I and Y of the examples that a step looks at.
struct KernelProblem {
  const SymmetricSource& kernel;  ///< K [N, N]
  double jitter = 0;
  const Targets& targets;  ///< [N, C]
  /// Positions of the examples of the sub-batch, ascending; for the objectives that need one.
  std::span<const Index> subset = {};
};

struct ObjectiveResult {
  double value = 0;
  /// ∂L/∂K at a fixed jitter. May point to the kernel.
  std::unique_ptr<ObjectiveUpstream> upstream = {};
  bool sees_jitter = true;  ///< L is a function of K̃: then tr ∂L/∂K is ∂L/∂jitter
};

class Objective {
 public:
  virtual ~Objective() = default;

  /// "nlml".
  virtual std::string_view name() const = 0;
  /// One line for people.
  virtual std::string_view summary() const = 0;
  /// Compares all examples with a part of them: needs KernelProblem::subset.
  virtual bool needs_subset() const { return false; }

  /// Throws NotPositiveDefinite and what the room throws.
  virtual ObjectiveResult evaluate(const KernelProblem& problem, MatrixRoom& room) const = 0;
};

/// All there are, by name.
std::span<const Objective* const> objectives();
/// nullptr for an unknown name.
const Objective* find_objective(std::string_view name);

/// Negative log marginal likelihood, a number of an example and output.
const Objective& nlml();
/// Mean squared error of every example predicted by all the others.
const Objective& leave_one_out_error();
/// Memory that it takes beside its matrices [bytes].
std::size_t weighted_square_bytes(Index size);
/// ρ of kernel flows (Owhadi and Yoo 2019): what of the norm is lost with the examples outside the
/// subset.
const Objective& kernel_flow();
/// 1 − the cosine of the angle between K and Y·Yᵀ (Cristianini et al. 2001).
const Objective& alignment();

}  // namespace gramtile
