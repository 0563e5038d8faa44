// An objective as a function of the network's parameters and the noise, with its gradient: K by one
// pass of the engine, L and ∂L/∂K by the objective, ∂L/∂θ by a second pass.
//
//   point → values → K → K̃ = K + λ·m·I → L, ∂L/∂K̃ → ∂L/∂K → ∂L/∂θ → gradient by the point
//
// m is the mean of K's diagonal, so the noise λ says the same of a kernel of any scale. It depends
// on K: the diagonal of ∂L/∂K gets λ/N·tr ∂L/∂K̃ (docs/mathematics.md §12).
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/core/ports.hpp"
#include "engine/schedule/compute.hpp"
#include "engine/train/objective.hpp"
#include "engine/train/optimiser.hpp"
#include "engine/train/parameter_space.hpp"

namespace gramtile {

/// The examples that one evaluation looks at.
struct TrainingExamples {
  BlockSource& images;
  const Targets& targets;              ///< [N, C]
  std::span<const Index> subset = {};  ///< of a sub-batch, ascending
};

/// What a step spends its time with.
enum class TrainingPart { kKernel, kObjective, kGradient, kValidation };

/// Told now and then what is in hand and what share of it is done, 0 where that is not known; from
/// one thread at a time, not always the caller's.
using TrainingWatch = std::function<void(TrainingPart part, double share)>;

/// Seconds of the parts of an evaluation.
struct EvaluationSeconds {
  double kernel = 0, objective = 0, gradient = 0;
};

class TrainingFunction {
 public:
  /// `program` is lowered for the images, and marked where none of them has a negative pixel; it,
  /// the objective and the room must live as long.
  TrainingFunction(const Program& program, const ParameterSpace& space, const Objective& objective,
                   MatrixRoom& room, const ComputeOptions& options);

  /// Value and gradient at `point`. Infinite, and failure() says why, where K̃ is not positive
  /// definite or a number is beyond its bounds. Throws Error(kInterrupted) when `stop` is
  /// requested, and what images and room throw.
  Evaluation evaluate(std::span<const double> point, const TrainingExamples& examples,
                      std::stop_token stop = {});

  TrainingWatch watch = {};

  /// Of the last evaluation.
  const std::string& failure() const { return failure_; }
  const EvaluationSeconds& seconds() const { return seconds_; }

  /// The program with the values at `point`.
  Program program_at(std::span<const double> point) const;

 private:
  const Program& program_;
  const ParameterSpace& space_;
  const Objective& objective_;
  MatrixRoom& room_;
  const ComputeOptions options_;
  std::string failure_;
  EvaluationSeconds seconds_;
};

/// K(images, images) into `store`; tells `watch` of it as `part`. Throws as compute_tiles does, and
/// Error(kInterrupted).
void store_kernel(const Program& program, BlockSource& images, const ComputeOptions& options,
                  SymmetricStore& store, std::stop_token stop, const TrainingWatch& watch = {},
                  TrainingPart part = TrainingPart::kKernel);

/// Mean of the diagonal.
double mean_diagonal(const SymmetricSource& kernel);

}  // namespace gramtile
