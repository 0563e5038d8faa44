// kernel-predict, carried out: factor, solve, predict, write.
#pragma once

#include <string>

#include "apps/common/predict_inputs.hpp"
#include "apps/common/predict_plan.hpp"

namespace gramtile::apps {

/// Rows whose variance is asked for, and the rest of what a run's cost depends on.
SolveSize solve_size(const PredictArguments& arguments, const KernelFile& kernels,
                     const PredictTargets& targets);

/// Predicts and writes arguments.compute.out. Prints a table, or, when interrupted, the command
/// that continues (`resume_command`). Returns the exit code. Throws Error(kOther) for a kernel that
/// is not positive definite, naming pivot, image and a jitter that is enough.
int predict(const PredictArguments& arguments, const KernelFile& kernels,
            const PredictTargets& targets, const std::string& command,
            const std::string& resume_command);

}  // namespace gramtile::apps
