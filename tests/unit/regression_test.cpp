// Regression with a factored kernel, against its definitions.
#include "engine/solve/regression.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "tests/support/textbook_solver.hpp"

namespace gramtile::regression_test {
namespace {

constexpr Index kSize = 20;

/// K without row and column `left`.
std::vector<double> without(const std::vector<double>& kernel, Index left) {
  std::vector<double> rest;
  for (Index i = 0; i < kSize; ++i) {
    for (Index j = 0; j < kSize; ++j) {
      if (i != left && j != left) rest.push_back(kernel[static_cast<std::size_t>(i * kSize + j)]);
    }
  }
  return rest;
}

Targets some_targets() {
  Targets targets{{}, 2};
  for (Index i = 0; i < kSize; ++i) {
    targets.values.push_back(std::sin(static_cast<double>(i)));
    targets.values.push_back(i % 3 == 0 ? 1 : -1);
  }
  return targets;
}

// Condition about 60: both ways are good to 60·20·2⁻⁵³·(a few) < 1e-12.
TEST_CASE("regression: leave-one-out in closed form is really leaving one out") {
  const double jitter = 0.05;
  const std::vector<double> kernel = test::random_kernel(11, kSize, 0.1);
  const Targets targets = some_targets();
  const KernelSolver solver(kernel, kSize, jitter, {.num_threads = 1});
  const std::vector<double> a = coefficients(solver, targets);
  const LeaveOneOut loo = leave_one_out(targets, a, solver.inverse_diagonal());
  for (Index left = 0; left < kSize; ++left) {
    const std::vector<double> rest = without(kernel, left);
    const KernelSolver smaller(rest, kSize - 1, jitter, {.num_threads = 1});
    Targets others{{}, 2};
    std::vector<double> row;
    for (Index i = 0; i < kSize; ++i) {
      if (i == left) continue;
      row.push_back(kernel[static_cast<std::size_t>(left * kSize + i)]);
      for (std::size_t c = 0; c < 2; ++c)
        others.values.push_back(targets.values[static_cast<std::size_t>(i) * 2 + c]);
    }
    const std::vector<double> mean = predictive_mean(row, coefficients(smaller, others), 2);
    const double k = kernel[static_cast<std::size_t>(left * (kSize + 1))];
    const double variance = k + jitter - smaller.quadratic_forms(row, 1)[0];
    const auto at = static_cast<std::size_t>(left);
    CHECK(loo.mean[2 * at] == doctest::Approx(mean[0]).epsilon(1e-12));
    CHECK(loo.mean[2 * at + 1] == doctest::Approx(mean[1]).epsilon(1e-12));
    CHECK(loo.variance[at] == doctest::Approx(variance).epsilon(1e-12));
  }
}

TEST_CASE("regression: the evidence of two examples is the density written out") {
  // K̃ = [[2, 1], [1, 2]]: det 3, inverse [[2, −1], [−1, 2]] / 3; y = (1, −1): yᵀ·K̃⁻¹·y = 2.
  const KernelSolver solver(std::vector{2.0, 1.0, 1.0, 2.0}, 2, 0, {.num_threads = 1});
  const Targets targets{{1, -1}, 1};
  const double evidence =
      log_marginal_likelihood(targets, coefficients(solver, targets), solver.log_determinant());
  CHECK(evidence ==
        doctest::Approx(-1 - std::log(3.0) / 2 - std::log(2 * std::numbers::pi)).epsilon(1e-14));
}

TEST_CASE("regression: classes are sorted, one output each; negative, sparse and single ones too") {
  const OneHot several = one_hot(std::vector<std::int64_t>{7, -2, 7, 100});
  CHECK(several.classes == std::vector<std::int64_t>{-2, 7, 100});
  CHECK(several.targets.num_outputs == 3);
  CHECK(several.targets.values == std::vector<double>{-1, 1, -1, 1, -1, -1, -1, 1, -1, -1, -1, 1});
  const OneHot single = one_hot(std::vector<std::int64_t>{4, 4});
  CHECK(single.targets.values == std::vector<double>{1, 1});
}

TEST_CASE("regression: the largest output is the class, the first of equals") {
  const std::vector<std::int64_t> classes{-2, 7, 100};
  CHECK(classes_of(std::vector<double>{-1, 0.5, 0.2, 0.3, 0.3, 0.1}, classes) ==
        std::vector<std::int64_t>{7, -2});
}

TEST_CASE("regression: accuracy and mean squared error") {
  CHECK(accuracy(std::vector<std::int64_t>{1, 2, 3, 4}, std::vector<std::int64_t>{1, 0, 3, 4}) ==
        0.75);
  CHECK(mean_squared_error(std::vector<double>{1, 2}, std::vector<double>{1, 4}) == 2);
}

}  // namespace
}  // namespace gramtile::regression_test
