// Inside of kernel-predict: what coefficients say of the sets of a kernel file.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "apps/common/predict_inputs.hpp"
#include "io/solve/prediction_file.hpp"

namespace gramtile::apps {

/// Accuracy, where targets are classes and `labels` are known, or mean squared error, where targets
/// are numbers and `numbers` are known.
std::optional<double> score(const PredictTargets& targets, std::span<const double> mean,
                            std::span<const std::int64_t> labels, std::span<const double> numbers);

/// The same of the training images, whose answers are the targets.
double training_score(const PredictTargets& targets, std::span<const double> mean);

/// Means, classes and score of every set that has a kernel with the training set; with a solver
/// variances, where the file has the diagonal. Reads the rows of K in groups of `working_bytes`,
/// 128 rows at least.
std::vector<SetPrediction> predict_sets(const KernelFile& kernels, const PredictTargets& targets,
                                        const Prediction& trained, const KernelSolver* solver,
                                        std::size_t working_bytes);

}  // namespace gramtile::apps
