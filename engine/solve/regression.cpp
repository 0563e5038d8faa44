#include "engine/solve/regression.hpp"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace gramtile {

OneHot one_hot(std::span<const std::int64_t> labels) {
  OneHot result;
  result.classes.assign(labels.begin(), labels.end());
  std::ranges::sort(result.classes);
  const auto repeated = std::ranges::unique(result.classes);
  result.classes.erase(repeated.begin(), repeated.end());
  result.targets.num_outputs = static_cast<Index>(result.classes.size());
  result.targets.values.reserve(labels.size() * result.classes.size());
  for (const std::int64_t label : labels) {
    for (const std::int64_t c : result.classes)
      result.targets.values.push_back(label == c ? 1.0 : -1.0);
  }
  return result;
}

std::vector<std::int64_t> classes_of(std::span<const double> outputs,
                                     std::span<const std::int64_t> classes) {
  std::vector<std::int64_t> chosen;
  for (std::size_t at = 0; at < outputs.size(); at += classes.size()) {
    const auto row = outputs.subspan(at, classes.size());
    chosen.push_back(
        classes[static_cast<std::size_t>(std::ranges::max_element(row) - row.begin())]);
  }
  return chosen;
}

std::vector<double> coefficients(const KernelSolver& solver, const Targets& targets) {
  std::vector<double> values = targets.values;
  solver.solve(values, targets.num_outputs);
  return values;
}

double log_marginal_likelihood(const Targets& targets, std::span<const double> coefficients,
                               double log_determinant) {
  double fit = 0;
  for (std::size_t i = 0; i < coefficients.size(); ++i) fit += targets.values[i] * coefficients[i];
  const auto outputs = static_cast<double>(targets.num_outputs);
  const double entries = static_cast<double>(targets.values.size());  // N·C
  return -0.5 * (fit + outputs * log_determinant + entries * std::log(2 * std::numbers::pi));
}

LeaveOneOut leave_one_out(const Targets& targets, std::span<const double> coefficients,
                          std::span<const double> inverse_diagonal) {
  LeaveOneOut result;
  const auto outputs = static_cast<std::size_t>(targets.num_outputs);
  for (std::size_t i = 0; i < inverse_diagonal.size(); ++i) {
    result.variance.push_back(1 / inverse_diagonal[i]);
    for (std::size_t c = i * outputs; c < (i + 1) * outputs; ++c)
      result.mean.push_back(targets.values[c] - coefficients[c] / inverse_diagonal[i]);
  }
  return result;
}

std::vector<double> predictive_mean(std::span<const double> rows,
                                    std::span<const double> coefficients, Index num_outputs) {
  const auto outputs = static_cast<std::size_t>(num_outputs);
  const std::size_t size = coefficients.size() / outputs;
  std::vector<double> mean(rows.size() / size * outputs);
  for (std::size_t r = 0; r < rows.size() / size; ++r) {
    double* const sums = &mean[r * outputs];
    for (std::size_t i = 0; i < size; ++i) {
      for (std::size_t c = 0; c < outputs; ++c)
        sums[c] += rows[r * size + i] * coefficients[i * outputs + c];
    }
  }
  return mean;
}

double accuracy(std::span<const std::int64_t> predicted, std::span<const std::int64_t> labels) {
  std::size_t right = 0;
  for (std::size_t i = 0; i < labels.size(); ++i) right += predicted[i] == labels[i] ? 1 : 0;
  return static_cast<double>(right) / static_cast<double>(labels.size());
}

double mean_squared_error(std::span<const double> predicted, std::span<const double> targets) {
  double sum = 0;
  for (std::size_t i = 0; i < targets.size(); ++i)
    sum += (predicted[i] - targets[i]) * (predicted[i] - targets[i]);
  return sum / static_cast<double>(targets.size());
}

}  // namespace gramtile
