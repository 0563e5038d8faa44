// The terms by which a lane program's raw derivatives become derivatives by parameters
// (DerivativeTerm, MixtureTerms), collected while its steps are made.
#pragma once

#include <vector>

#include "engine/lanes/lane_program.hpp"
#include "engine/lanes/reverse_step.hpp"

namespace gramtile {

/// "The step" below is the one that is appended to the program next.
class TermCollector {
 public:
  /// Adds to `program`, which must live as long.
  explicit TermCollector(LaneProgram& program) : program_(program) {}

  /// The step is this convolution times `scale`, of a source that is `source_factor` times what the
  /// step reads.
  void add_convolution(const Conv2dOp& op, double source_factor, double scale = 1);

  void start_mixture(const SumOp& op);

  /// The branch of the mixture that is `value` and has no term yet is a part of the step.
  void add_mixture_branch(RawDerivative raw, ValueId value, double factor);

  /// In the end: raw derivatives are those of the scaled output by a step's scaled numbers, with
  /// the powers of two of docs/mathematics.md (17).
  void scale(const std::vector<int>& exponents);

 private:
  Index next_step() const { return static_cast<Index>(program_.steps.size()); }
  void add(RawDerivative raw, const VarianceUse& use, double coefficient);

  LaneProgram& program_;
  std::vector<ValueId> pending_branches_;  ///< of the mixture at hand, not yet matched with a step
};

}  // namespace gramtile
