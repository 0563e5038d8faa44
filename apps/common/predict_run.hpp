// Inside of kernel-predict: from a kernel file and targets to every number of the output, by a
// factor or by iteration.
#pragma once

#include <memory>
#include <stop_token>
#include <string>

#include "apps/common/predict_inputs.hpp"
#include "apps/common/predict_plan.hpp"
#include "io/solve/prediction_file.hpp"
#include "io/solve/solve_files.hpp"

namespace gramtile::apps {

class PredictRun {
 public:
  virtual ~PredictRun() = default;

  /// Throws Error(kInterrupted) when asked to stop, Error(kOther) where there is no answer.
  virtual Prediction predict() = 0;
  virtual void clear_progress() = 0;
  /// For the user, after an interruption: what was done, and what a new start does with it.
  virtual std::string how_far() const = 0;
};

/// What a run is made of; everything lives as long.
struct PredictJob {
  const PredictArguments& arguments;
  const KernelFile& kernels;
  const PredictTargets& targets;
  SolveFiles& files;
  SolveSize size;
  std::stop_token stop;
};

/// Cholesky, in memory or on disk.
std::unique_ptr<PredictRun> make_factor_run(const PredictJob& job);
/// Conjugate gradients.
std::unique_ptr<PredictRun> make_iteration_run(const PredictJob& job);

/// What the user asked for; of a search (auto) nothing. `facts` for --jitter-relative.
std::optional<double> given_jitter(const PredictArguments& arguments, const KernelFacts& facts);

}  // namespace gramtile::apps
