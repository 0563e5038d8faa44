// A training from beginning to end as a call: opens the data, plans the memory, makes step after
// step, and keeps each on disk. kernel-train is this with a command line in front; docs/library.md
// has an example.
//
//   TrainRequest ──TrainJob()→ TrainPlan ──run()→ Trainer::step() → OUT.partial … → OUT,
//   network_out
//
// One caller at a time. Errors are exceptions (engine/core/errors.hpp); nothing is printed.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>

#include "engine/train/trainer.hpp"
#include "io/train/train_inputs.hpp"
#include "io/train/train_plan.hpp"
#include "io/train/train_request.hpp"

namespace gramtile {

struct TrainOutcome {
  bool complete = false;          ///< the file is there; else it was stopped and can be resumed
  bool already_complete = false;  ///< it was there before
  Index num_steps = 0;            ///< that are in the file
  std::string reason = {};        ///< why it ended
  double first_objective = 0, last_objective = 0;
  std::optional<double> first_validation = {}, last_validation = {};
  std::vector<double> values = {};  ///< of Program::parameters, as trained
  double noise = 0;
};

class TrainJob {
 public:
  /// Opens everything and plans; writes nothing. Throws Error(kUsage) for what does not go
  /// together, Error(kCannotCreate) where the output cannot be; NetworkError; DataError and IoError
  /// for inputs.
  explicit TrainJob(TrainRequest request);
  ~TrainJob();

  const TrainRequest& request() const { return request_; }
  const TrainInputs& inputs() const { return inputs_; }
  const TrainPlan& plan() const { return plan_; }

  /// Makes every step that is left. `on_step` is told of each, and of the state before the first;
  /// `watch` of how far the step in hand is.
  /// When `stop` is requested, the step in hand is given up and the outcome is not complete. At
  /// most once.
  TrainOutcome run(const std::function<void(const Trainer&)>& on_step = {},
                   std::stop_token stop = {}, const TrainingWatch& watch = {});

 private:
  std::vector<SpecFact> facts() const;
  void read_inputs(const std::stop_token& stop);
  ComputeOptions compute_options(std::stop_token stop) const;
  std::unique_ptr<MatrixRoom> make_room(std::stop_token stop, const TrainingWatch& watch) const;

  TrainRequest request_;
  TrainInputs inputs_;
  TrainPlan plan_;
  std::vector<std::unique_ptr<BlockSource>> checked_;  ///< by set: checked when read again
  std::vector<std::string> hashes_;                    ///< by set, after read_inputs()
};

}  // namespace gramtile
