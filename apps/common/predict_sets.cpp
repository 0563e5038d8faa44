#include "apps/common/predict_sets.hpp"

#include <algorithm>

#include "engine/solve/triangular.hpp"

namespace gramtile::apps {
namespace {

SetPrediction predict_set(const KernelFile& kernels, const PredictTargets& targets,
                          const Prediction& trained, const KernelSolver* solver,
                          std::size_t working_bytes, std::size_t s) {
  const CrossKernel& cross = kernels.crosses()[s];
  const Index n = kernels.num_training(), count = kernels.set_of(cross).num_examples;
  SetPrediction result{.set = cross.set, .mean = {}, .variance = {}, .classes = {}, .score = {}};
  if (solver != nullptr && cross.diagonal) result.variance = kernels.read_diagonal(cross);
  const Index step = columns_in(working_bytes, n, count);
  std::vector<double> rows;
  for (Index start = 0; start < count; start += step) {
    const Range range{start, std::min(start + step, count)};
    rows.resize(static_cast<std::size_t>(range.size() * n));
    kernels.read_rows(cross, range, rows);
    const auto mean = predictive_mean(rows, trained.coefficients, trained.num_outputs);
    result.mean.insert(result.mean.end(), mean.begin(), mean.end());
    if (result.variance.empty()) continue;
    const auto forms = solver->quadratic_forms(rows, range.size());
    for (std::size_t i = 0; i < forms.size(); ++i)
      result.variance[static_cast<std::size_t>(start) + i] -= forms[i];
  }
  const KnownAnswers& answers = targets.answers[s];
  result.score = score(targets, result.mean, answers.labels, answers.targets);
  if (!targets.classes.empty()) result.classes = classes_of(result.mean, targets.classes);
  return result;
}

}  // namespace

std::optional<double> score(const PredictTargets& targets, std::span<const double> mean,
                            std::span<const std::int64_t> labels, std::span<const double> numbers) {
  if (!targets.classes.empty()) {
    if (labels.empty()) return std::nullopt;
    return accuracy(classes_of(mean, targets.classes), labels);
  }
  if (numbers.empty()) return std::nullopt;
  return mean_squared_error(mean, numbers);
}

double training_score(const PredictTargets& targets, std::span<const double> mean) {
  const std::vector<double>& values = targets.targets.values;
  if (targets.classes.empty()) return mean_squared_error(mean, values);
  return accuracy(classes_of(mean, targets.classes), classes_of(values, targets.classes));
}

std::vector<SetPrediction> predict_sets(const KernelFile& kernels, const PredictTargets& targets,
                                        const Prediction& trained, const KernelSolver* solver,
                                        std::size_t working_bytes) {
  std::vector<SetPrediction> sets;
  for (std::size_t s = 0; s < kernels.crosses().size(); ++s)
    sets.push_back(predict_set(kernels, targets, trained, solver, working_bytes, s));
  return sets;
}

}  // namespace gramtile::apps
