// Gaussian process regression: what the images of a training set say of others, and how well a
// network explains the targets.
#include <engine/gramtile.hpp>
#include <engine/solve/regression.hpp>
#include <span>
#include <vector>

struct Posterior {
  std::vector<double> mean, variance;  ///< by test image
  double log_evidence = 0;             ///< log p(y | X), the log marginal likelihood
};

Posterior predict(const gramtile::Program& program, const gramtile::ImageArray& train,
                  const std::vector<double>& y, const gramtile::ImageArray& test, double jitter) {
  const gramtile::ComputeOptions options{.data_type = gramtile::DataType::kFloat64};
  // 1. K(x, x) of the training images, factored once.
  const gramtile::MatrixArray k = gramtile::kernel_matrix(program, train, options);
  const auto n = static_cast<gramtile::Index>(y.size());
  const gramtile::KernelSolver solver(std::span(k.data(), k.size()), n, jitter);
  // 2. The evidence: its fit, its determinant.
  const gramtile::Targets targets{y, 1};
  const std::vector<double> a = gramtile::coefficients(solver, targets);
  Posterior result;
  result.log_evidence = gramtile::log_marginal_likelihood(targets, a, solver.log_determinant());
  // 3. Means K(x*, x)·a, and variances K(x*, x*) − K(x*, x)·K̃⁻¹·K(x, x*).
  gramtile::MatrixArray rows = gramtile::kernel_matrix(program, test, train, options);
  result.mean = gramtile::predictive_mean(std::span(rows.data(), rows.size()), a, 1);
  const auto m = static_cast<gramtile::Index>(test.shape(0));
  result.variance = solver.quadratic_forms(std::span(rows.data(), rows.size()), m);
  const gramtile::MatrixArray own = gramtile::kernel_matrix(program, test, options);
  for (std::size_t i = 0; i < result.variance.size(); ++i)
    result.variance[i] = own(i, i) - result.variance[i];
  return result;
}
