// Gaussian process regression with a factored kernel, in closed form. Equations: Rasmussen and
// Williams, Gaussian Processes for Machine Learning; docs/mathematics.md §11.
#pragma once

#include <span>
#include <vector>

#include "engine/solve/kernel_solver.hpp"

namespace gramtile {

/// Y [N, C], row-major.
struct Targets {
  std::vector<double> values;
  Index num_outputs = 1;
};

/// Classes as targets: +1 for an example's own, −1 for the others (cnn-gp's convention).
struct OneHot {
  Targets targets;
  std::vector<std::int64_t> classes;  ///< [C], ascending
};
OneHot one_hot(std::span<const std::int64_t> labels);

/// The class of the largest output of each example, the first of equals; outputs [n, C].
std::vector<std::int64_t> classes_of(std::span<const double> outputs,
                                     std::span<const std::int64_t> classes);

/// A = K̃⁻¹·Y, [N, C].
std::vector<double> coefficients(const KernelSolver& solver, const Targets& targets);

/// Σ over the outputs of −½ yᵀ·K̃⁻¹·y − ½ log det K̃ − N/2 log 2π (eq. 5.8).
double log_marginal_likelihood(const Targets& targets, std::span<const double> coefficients,
                               double log_determinant);

/// What the model says of each example when it is left out (eq. 5.12). The variance is that of the
/// target: it holds the jitter.
struct LeaveOneOut {
  std::vector<double> mean;      ///< y − K̃⁻¹y / diag(K̃⁻¹), [N, C]
  std::vector<double> variance;  ///< 1 / diag(K̃⁻¹), [N]
};
LeaveOneOut leave_one_out(const Targets& targets, std::span<const double> coefficients,
                          std::span<const double> inverse_diagonal);

/// rows · coefficients, [n, C], for rows [n, N]: one sum each, in the order of the training set.
std::vector<double> predictive_mean(std::span<const double> rows,
                                    std::span<const double> coefficients, Index num_outputs);

double accuracy(std::span<const std::int64_t> predicted, std::span<const std::int64_t> labels);
double mean_squared_error(std::span<const double> predicted, std::span<const double> targets);

}  // namespace gramtile
