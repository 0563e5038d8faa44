// What conjugate gradients say when there is no answer, or none within the tolerance; and edges.
#include "engine/solve/conjugate_gradients.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "engine/core/worst_of.hpp"
#include "engine/solve/kernel_solver.hpp"
#include "tests/support/run_fixture.hpp"
#include "tests/support/textbook_solver.hpp"

namespace gramtile::conjugate_gradients_test {
namespace {

struct Solved {
  std::vector<double> x;
  IterationReport report;
};

Solved solve(const std::vector<double>& kernel, const std::vector<double>& y, double jitter,
             const IterationOptions& iteration = {}) {
  const auto size = static_cast<Index>(std::llround(std::sqrt(kernel.size())));
  const ArrayMatrix matrix(kernel, size);
  const ConjugateGradients solver(matrix, jitter, iteration, {.num_threads = 2, .edge = 8});
  Solved solved{y, {}};
  solved.report = solver.solve(solved.x, std::ssize(y) / size);
  return solved;
}

double residual_of(const std::vector<double>& kernel, const std::vector<double>& y,
                   const std::vector<double>& x) {
  const std::size_t n = y.size();
  long double square = 0, norm = 0;
  for (std::size_t i = 0; i < n; ++i) {
    long double sum = y[i];
    for (std::size_t j = 0; j < n; ++j) sum -= static_cast<long double>(kernel[i * n + j]) * x[j];
    square += sum * sum;
    norm += y[i] * y[i];
  }
  return static_cast<double>(std::sqrt(square / norm));
}

/// A Gram matrix of 24 images of which 3 and 21 are the same.
std::vector<double> twins() {
  constexpr Index n = 24;
  std::vector<double> kernel = test::random_kernel(1, n, 0.5);
  const auto at = [&](Index i, Index j) -> double& {
    return kernel[static_cast<std::size_t>(i * n + j)];
  };
  for (Index i = 0; i < n; ++i) at(21, i) = at(3, i);
  for (Index i = 0; i < n; ++i) at(i, 21) = at(i, 3);
  at(21, 21) = at(3, 3);
  return kernel;
}

TEST_CASE("conjugate gradients: a 1x1 kernel is divided by, in one iteration") {
  const Solved solved = solve({4}, {8, 2}, 0);
  CHECK(solved.x == std::vector<double>{2, 0.5});
  CHECK(solved.report.num_iterations == 1);
  CHECK(solved.report.num_passes == 2);
  CHECK(solve({-3}, {8}, 4).x == std::vector<double>{8});
}

TEST_CASE("conjugate gradients: a diagonal that is not positive is refused with its row") {
  for (const double bad : {0.0, -2.0}) {
    std::vector<double> kernel = test::random_kernel(1, 24, 0.5);
    kernel[17 * 25] = bad;
    try {
      solve(kernel, std::vector<double>(24, 1.0), 0);
      FAIL("was not refused");
    } catch (const NotPositiveDefinite& error) {
      CHECK(error.failure.index == 17);
      CHECK(error.failure.pivot == bad);
    }
  }
}

TEST_CASE("conjugate gradients: targets of 0 are solved without a pass, beside others too") {
  const std::vector<double> kernel = test::random_kernel(1, 24, 0.5);
  const Solved zero = solve(kernel, std::vector<double>(24, 0.0), 0);
  CHECK(zero.x == std::vector<double>(24, 0.0));
  CHECK(zero.report.num_passes == 0);
  CHECK(zero.report.residuals == std::vector<double>{0});
  std::vector<double> two(48);
  for (std::size_t i = 0; i < 24; ++i) two[2 * i + 1] = static_cast<double>(i);
  const Solved both = solve(kernel, two, 0);
  CHECK(both.report.is_within(1e-8));
  for (std::size_t i = 0; i < 24; ++i) CHECK(both.x[2 * i] == 0);
}

TEST_CASE("conjugate gradients: twins of the same target are solved, of others they stall") {
  const std::vector<double> kernel = twins();
  std::vector<double> y(24, 1.0);
  for (const Index rank : {Index{0}, Index{5}, Index{24}}) {
    CAPTURE(rank);
    const IterationOptions options{.rank = rank, .patience = 30};
    y[21] = y[3];
    CHECK(solve(kernel, y, 0, options).report.is_within(1e-8));
    y[21] = -1;
    const Solved apart = solve(kernel, y, 0, options);
    // (y₃ − y₂₁)/√2 is out of reach: the residual is √2 of ‖y‖ = √24 at least.
    CHECK(apart.report.largest_residual() >= std::sqrt(2.0 / 24) * (1 - 1e-6));
    CHECK(apart.report.largest_residual() <= 1);
    CHECK(!apart.report.is_within(1e-8));
    CHECK(solve(kernel, y, 1e-4, options).report.is_within(1e-8));
  }
}

TEST_CASE("conjugate gradients: an indefinite kernel ends with the curvature that was met") {
  std::vector<double> kernel(24 * 24);
  for (std::size_t i = 0; i < 24; ++i) {
    kernel[i * 25] = 1;
    kernel[i * 24 + 23 - i] += 1.5;  // eigenvalues 2.5 and −0.5
  }
  std::vector<double> y;
  for (int i = 0; i < 24; ++i) y.push_back(std::sin(i));
  const Solved solved = solve(kernel, y, 0, {.rank = 0});
  CHECK(!solved.report.is_within(1e-8));
  REQUIRE(solved.report.curvature);
  CHECK(*solved.report.curvature < 0);
  CHECK(*solved.report.curvature >= -0.5 - 1e-12);
}

TEST_CASE("conjugate gradients: what cannot be reached stalls, and its true residual is told") {
  const Index n = 24;
  const std::vector<double> kernel = test::random_kernel(2, n, 1e-13);  // condition 1e13
  std::vector<double> y;
  for (int i = 0; i < n; ++i) y.push_back(std::cos(3 * i));
  for (const Index rank : {Index{0}, Index{6}, Index{24}}) {
    CAPTURE(rank);
    const Solved solved = solve(kernel, y, 0, {.tolerance = 1e-15, .rank = rank, .patience = 50});
    CHECK(!solved.report.is_within(1e-15));
    const double actual = residual_of(kernel, y, solved.x);
    double largest = 0;
    for (const double value : solved.x) largest = worst_of(largest, std::abs(value));
    // The computed residual may be off by (N + 4)·2⁻⁵³·‖|y| + |K|·|x|‖/‖y‖; |K| ≤ 3 here.
    CHECK(std::abs(solved.report.residuals[0] - actual) <= 28 * 0x1p-53 * (1 + 3 * 24 * largest));
    CHECK(solved.report.num_iterations < 50 * 60);  // a halving each 50, of 2⁻⁵³
  }
}

TEST_CASE("conjugate gradients: rows scaled over 16 decades and kernels of 1e16 are solved") {
  std::vector<double> kernel = test::random_kernel(2, 30, 0.1, 8);
  const std::vector<double> y(30, 1.0);
  CHECK(solve(kernel, y, 0, {.rank = 10}).report.is_within(1e-8));
  kernel = test::random_kernel(2, 30, 0.1);
  for (double& value : kernel) value *= 1e16;
  CHECK(solve(kernel, y, 0, {.rank = 10}).report.is_within(1e-8));
}

TEST_CASE("conjugate gradients: targets whose squares over- or underflow are solved all the same") {
  const std::vector<double> kernel = test::random_kernel(2, 30, 0.1);
  std::vector<double> y;
  for (int i = 0; i < 30; ++i) y.push_back(std::cos(i));
  const Solved plain = solve(kernel, y, 0);
  for (const int exponent : {-900, 900}) {
    std::vector<double> scaled = y;
    for (double& value : scaled) value = std::ldexp(value, exponent);
    const Solved solved = solve(kernel, scaled, 0);
    CHECK(solved.report.residuals == plain.report.residuals);
    for (std::size_t i = 0; i < y.size(); ++i)
      CHECK(solved.x[i] == std::ldexp(plain.x[i], exponent));
  }
}

TEST_CASE("conjugate gradients: an entry that is not finite is named") {
  std::vector<double> kernel = test::random_kernel(3, 24, 0.5);
  kernel[4 * 24 + 17] = std::numeric_limits<double>::infinity();
  const Error error = test::error_of([&] { solve(kernel, std::vector<double>(24, 1.0), 0); });
  CHECK(error.kind() == ErrorKind::kOther);
  CHECK(test::mentions(error, "[4, 17]"));
}

TEST_CASE("conjugate gradients: every iteration is told of, and a stop request ends them") {
  const std::vector<double> kernel = test::random_kernel(3, 24, 1e-4);
  const std::vector<double> y(24, 1.0);
  std::vector<double> told;
  IterationOptions iteration{.rank = 0};
  iteration.on_iteration = [&](Index number, double residual) {
    CHECK(number == std::ssize(told) + 1);
    told.push_back(residual);
  };
  const IterationReport report = solve(kernel, y, 0, iteration).report;
  CHECK(std::ssize(told) == report.num_iterations);
  CHECK(told.back() <= iteration.tolerance);
  std::stop_source source;
  const ArrayMatrix matrix(kernel, 24);
  iteration.on_iteration = [&](Index number, double) {
    if (number == 3) source.request_stop();
  };
  const ConjugateGradients solver(matrix, 0, iteration,
                                  {.num_threads = 2, .edge = 8, .stop = source.get_token()});
  std::vector<double> x = y;
  CHECK(test::error_of([&] { solver.solve(x, 1); }).kind() == ErrorKind::kInterrupted);
}

}  // namespace
}  // namespace gramtile::conjugate_gradients_test
