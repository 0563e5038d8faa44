// Kernels that have no factor, what is said of them, the search for a jitter, stopping.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>

#include "engine/solve/jitter.hpp"
#include "engine/solve/kernel_solver.hpp"
#include "engine/solve/solve_context.hpp"
#include "tests/support/run_fixture.hpp"
#include "tests/support/textbook_solver.hpp"

extern "C" {
int openblas_get_num_threads();
void openblas_set_num_threads(int);
}

namespace gramtile::solver_test {
namespace {

using test::random_kernel;

std::optional<PivotFailure> failure_of(const std::vector<double>& kernel, Index size, double jitter,
                                       Index edge = 8) {
  try {
    const KernelSolver solver(kernel, size, jitter, {.num_threads = 2, .edge = edge});
    return std::nullopt;
  } catch (const NotPositiveDefinite& error) {
    CHECK(error.kind() == ErrorKind::kOther);
    return error.failure;
  }
}

/// Image `copy` becomes a twin of image `of`.
void make_twins(std::vector<double>& kernel, Index size, Index of, Index copy) {
  const auto at = [&](Index i, Index j) -> double& {
    return kernel[static_cast<std::size_t>(i * size + j)];
  };
  for (Index i = 0; i < size; ++i) at(copy, i) = at(of, i);
  for (Index i = 0; i < size; ++i) at(i, copy) = at(i, of);
  at(copy, copy) = at(of, of);
}

TEST_CASE("solver: 1x1 kernels: a positive one is divided by, 0 and negative ones are refused") {
  const KernelSolver solver(std::vector{4.0}, 1, 0);
  std::vector<double> y{8};
  solver.solve(y, 1);
  CHECK(y[0] == 2);
  CHECK(solver.log_determinant() == doctest::Approx(std::log(4.0)));
  CHECK(solver.inverse_diagonal()[0] == 0.25);
  CHECK(solver.condition_estimate() == 1);
  CHECK(failure_of({0.0}, 1, 0)->index == 0);
  CHECK(failure_of({-3.0}, 1, 0)->pivot == -3);
  CHECK(!failure_of({-3.0}, 1, 4));
}

TEST_CASE("solver: the first pivot that is not positive is named, in any tile") {
  const Index size = 37;
  for (const Index bad : {Index{0}, Index{7}, Index{8}, Index{20}, Index{36}}) {
    std::vector<double> kernel = random_kernel(1, size, 0.5);
    kernel[static_cast<std::size_t>(bad * (size + 1))] = -2;
    const auto failure = failure_of(kernel, size, 0);
    REQUIRE(failure);
    CHECK(failure->index == bad);
    CHECK(failure->pivot <= -2);
  }
}

TEST_CASE("solver: twins are singular whatever rounding makes of their pivot") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    const Index size = 30;
    std::vector<double> kernel = random_kernel(seed, size, 0.5);
    make_twins(kernel, size, 3, 21);
    const auto failure = failure_of(kernel, size, 0);
    REQUIRE(failure);
    CHECK(failure->index == 21);
    CHECK(!failure_of(kernel, size, 1e-9));
  }
}

TEST_CASE("solver: all-equal kernels have rank one") {
  const auto failure = failure_of(std::vector<double>(20 * 20, 0.3), 20, 0);
  REQUIRE(failure);
  CHECK(failure->index == 1);
}

TEST_CASE("solver: kernels of 1e16 and of rows scaled over 16 decades have factors") {
  const Index size = 30;
  CHECK(!failure_of(random_kernel(2, size, 0.1, 8), size, 0));
  std::vector<double> large = random_kernel(2, size, 0.1);
  for (double& value : large) value *= 1e16;
  CHECK(!failure_of(large, size, 0));
}

TEST_CASE("solver: an entry that is not finite is named; below the diagonal nothing is looked at") {
  const Index size = 20;
  std::vector<double> kernel = random_kernel(3, size, 0.5);
  kernel[19 * 20 + 2] = std::numeric_limits<double>::quiet_NaN();
  CHECK(!failure_of(kernel, size, 0));
  kernel[4 * 20 + 17] = std::numeric_limits<double>::infinity();
  const Error error = test::error_of([&] { failure_of(kernel, size, 0); });
  CHECK(error.kind() == ErrorKind::kOther);
  CHECK(test::mentions(error, "[4, 17]"));
}

TEST_CASE("solver: a stop request ends the work as an interruption") {
  const std::vector<double> kernel = random_kernel(3, 20, 0.5);
  std::stop_source source;
  Index steps = 0;
  SolverOptions options{.num_threads = 2, .edge = 8, .stop = source.get_token()};
  options.on_progress = [&](double) {
    if (++steps == 5) source.request_stop();
  };
  const Error error = test::error_of([&] { const KernelSolver solver(kernel, 20, 0, options); });
  CHECK(error.kind() == ErrorKind::kInterrupted);
  CHECK(steps == 5);
}

TEST_CASE("solver: progress counts the operations that were announced, to a tenth") {
  for (const FactorGrid grid : {FactorGrid{100, 16}, FactorGrid{130, 8}, FactorGrid{300, 64}}) {
    const std::vector<double> kernel = random_kernel(3, grid.size, 0.5);
    double done = 0;
    SolverOptions options{.num_threads = 2, .edge = grid.edge};
    options.on_progress = [&](double flops) { done += flops; };
    const KernelSolver solver(kernel, grid.size, 0, options);
    const double cube = std::pow(static_cast<double>(grid.size), 3);
    CHECK(factorisation_flops(grid) >= cube / 3);
    CHECK(done == doctest::Approx(factorisation_flops(grid)).epsilon(0.1));
    done = 0;
    solver.inverse_diagonal();
    // What is done comes in whole tiles of 128 columns, of which these narrow blocks fill a part.
    CHECK(done >= KernelSolver::inverse_diagonal_flops(grid));
    CHECK(KernelSolver::inverse_diagonal_flops(grid) >= cube / 3);
  }
}

TEST_CASE("jitter: the search finds the least power of ten that works, for every one") {
  for (int least = kLeastJitterExponent; least <= 20; ++least) {
    int attempts = 0;
    const auto works = [&](double jitter) {
      ++attempts;
      return jitter > 2.5 * std::pow(10.0, least - 0.5);
    };
    const SmallestJitter found = smallest_jitter(2.5, works);
    CHECK(found.exponent == least);
    CHECK(found.value == doctest::Approx(2.5 * std::pow(10.0, least)));
    CHECK((least > 0 || attempts <= 6));
  }
  CHECK_THROWS_AS(smallest_jitter(1, [](double) { return false; }), Error);
}

TEST_CASE("blas: one thread while anybody solves, and as many as before behind the last") {
  openblas_set_num_threads(2);
  const int before = openblas_get_num_threads();  // 1 of the serial flavour
  {
    const blas::OneThread first;
    { const blas::OneThread second; }
    CHECK(openblas_get_num_threads() == 1);
  }
  CHECK(openblas_get_num_threads() == before);
  SolveContext({.num_threads = 1});
  CHECK(openblas_get_num_threads() == before);
}

TEST_CASE("blas: the library says version and flavour") {
  CHECK(blas::library_name().starts_with("OpenBLAS 0."));
}

}  // namespace
}  // namespace gramtile::solver_test
