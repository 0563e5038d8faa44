// Gaussian process regression: what the images of a training set say of others, and how well a
// network explains the targets.
#include <engine/solve/regression.hpp>
#include <engine/xtensor.hpp>
#include <span>
#include <vector>

using Images = xt::xtensor<double, 4>;  // [N, C, H, W]
using Matrix = xt::xtensor<double, 2>;

struct Posterior {
  std::vector<double> mean, variance;  ///< by test image
  double log_evidence = 0;             ///< log p(y | X), the log marginal likelihood
};

Posterior predict(const gramtile::Program& program, const Images& train,
                  const std::vector<double>& y, const Images& test, double jitter) {
  // 1. K(x, x) of the training images, factored once.
  const Matrix k = gramtile::kernel_matrix<double>(program, train);
  const auto n = static_cast<gramtile::Index>(y.size());
  const gramtile::KernelSolver solver(std::span(k.data(), k.size()), n, jitter);
  // 2. The evidence: its fit, its determinant.
  const gramtile::Targets targets{y, 1};
  const std::vector<double> a = gramtile::coefficients(solver, targets);
  Posterior result;
  result.log_evidence = gramtile::log_marginal_likelihood(targets, a, solver.log_determinant());
  // 3. Means K(x*, x)·a, and variances K(x*, x*) − K(x*, x)·K̃⁻¹·K(x, x*).
  Matrix rows = gramtile::kernel_matrix<double>(program, test, train);
  result.mean = gramtile::predictive_mean(std::span(rows.data(), rows.size()), a, 1);
  const auto m = static_cast<gramtile::Index>(test.shape(0));
  result.variance = solver.quadratic_forms(std::span(rows.data(), rows.size()), m);
  const Matrix own = gramtile::kernel_matrix<double>(program, test);
  for (std::size_t i = 0; i < result.variance.size(); ++i)
    result.variance[i] = own(i, i) - result.variance[i];
  return result;
}
