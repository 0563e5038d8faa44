// kernel-predict, carried out: factor, solve, predict, write.
#pragma once

#include <stop_token>
#include <string>
#include <vector>

#include "apps/common/predict_inputs.hpp"
#include "apps/common/predict_plan.hpp"
#include "io/solve/prediction_file.hpp"

namespace gramtile::apps {

/// Rows whose variance is asked for, and the rest of what a run's cost depends on.
SolveSize solve_size(const PredictArguments& arguments, const KernelFile& kernels,
                     const PredictTargets& targets);

/// How a run ended.
struct PredictOutcome {
  bool complete = false;          ///< the file is there; else it was stopped and can be resumed
  bool already_complete = false;  ///< it was there before
  std::string how_far = {};       ///< of a run that was stopped: what is kept
  Prediction prediction = {};     ///< of a run that was complete by this call
  double seconds = 0;
};

/// Throws Error(kUsage) when an output is one of `inputs`, or the kernel file, and
/// Error(kCannotCreate) where --work is no folder.
void check_predict_outputs(const PredictArguments& arguments, std::vector<std::string> inputs);

/// Predicts and writes arguments.compute.out; `command` is kept in it. Prints progress alone, and
/// with --quiet nothing. Throws Error(kOther) for a kernel that is not positive definite, naming
/// pivot, image and a jitter that is enough.
PredictOutcome run_prediction(const PredictArguments& arguments, const KernelFile& kernels,
                              const PredictTargets& targets, const std::string& command,
                              std::stop_token stop);

/// run_prediction() with signals. Prints a table, or, when interrupted, the command that continues
/// (`resume_command`). Returns the exit code.
int predict(const PredictArguments& arguments, const KernelFile& kernels,
            const PredictTargets& targets, const std::string& command,
            const std::string& resume_command);

}  // namespace gramtile::apps
