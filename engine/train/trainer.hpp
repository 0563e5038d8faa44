// The loop of training: batch, evaluation, step, validation, record; one step at a time, and
// everything that the next one depends on in one value, which io/train/ keeps in a file.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/train/training_function.hpp"

namespace gramtile {

enum class OptimiserKind { kAdam, kLbfgs };
std::string_view name_of(OptimiserKind kind);

struct TrainingOptions {
  const Objective* objective = nullptr;
  OptimiserKind optimiser = OptimiserKind::kLbfgs;
  OptimiserOptions steps = {};
  Index num_steps = 50;
  Index batch = 0;      ///< examples of a fresh random batch per step; 0: all
  Index sub_batch = 0;  ///< of those, for objectives that need a subset
  double noise = 1e-3;  ///< λ; where training begins unless it is fixed
  bool noise_is_fixed = false;
  std::uint64_t seed = 0;
  Index validate_every = 0;  ///< 0: never, but at the end
  /// Adam alone: a step ends so much of its way back to where training began (see
  /// docs/training.md).
  double pull = 1e-3;
};

/// Whether every step looks at other examples.
bool batches_change(const TrainingOptions& options);
/// For who names none: Adam where batches change, else L-BFGS.
OptimiserKind default_optimiser(const TrainingOptions& options);

/// Throws Error(kUsage) for options that do not go together, and for more examples than there are.
void check_training_options(const TrainingOptions& options, Index num_images);

/// One step, as it was made.
struct TrainingRecord {
  double objective = 0;               ///< at the point in front of the step
  double gradient = 0;                ///< its largest entry there, by the coordinates
  double length = 0;                  ///< of the step: the largest change of a coordinate
  std::vector<double> by_coordinate;  ///< the gradient there
  std::vector<double> point;          ///< behind the step
  std::optional<double>
      validation;  ///< error behind the step: wrong classes, or mean squared error
  Index num_evaluations = 0;
  double seconds = 0;
  EvaluationSeconds parts;  ///< of the evaluations, together
};

struct TrainingState {
  std::vector<double> point;
  std::vector<double> optimiser;  ///< Optimiser::state()
  std::vector<TrainingRecord> records;
  bool ended = false;  ///< no step is left, or none leads down
  std::string reason;  ///< why it ended
};

/// What validation compares with.
struct ValidationSet {
  BlockSource& images;
  Targets targets;                    ///< one-hot of the training set's classes, or numbers
  std::vector<std::int64_t> labels;   ///< of the images; empty: targets are numbers
  std::vector<std::int64_t> classes;  ///< of the training set
};

struct TrainingSet {
  BlockSource& images;
  Targets targets;
};

class Trainer {
 public:
  /// Begins, or goes on from `state`. `program` is lowered for the images and marked where none is
  /// negative. All arguments by reference must live as long. Throws Error(kUsage) for options that
  /// do not go together.
  Trainer(const Program& program, TrainingSet training, std::optional<ValidationSet> validation,
          const TrainingOptions& options, MatrixRoom& room, const ComputeOptions& compute,
          std::optional<TrainingState> state = {});
  ~Trainer();

  const TrainingState& state() const;
  const ParameterSpace& space() const;
  /// Values of Program::parameters, and λ, as they are now.
  std::vector<double> values() const;
  double noise() const;

  /// Told what the user should know: of factorisations that failed, of numbers at their bounds.
  std::function<void(const std::string&)> notice = {};

  /// Told how far the step in hand is, but not of the solver's progress (SolverOptions).
  TrainingWatch watch = {};

  /// One step; afterwards state() has its record, or has ended. Throws what images, engine and
  /// solver throw, Error(kOther) where no step that was tried has a value, and Error(kInterrupted);
  /// state() is then as it was.
  void step(std::stop_token stop = {});

  /// Error of kernel regression on the validation set, trained on all images, or on a batch of
  /// them.
  double validate(std::stop_token stop = {});

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gramtile
