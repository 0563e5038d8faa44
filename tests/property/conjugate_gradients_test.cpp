// Conjugate gradients against their slow twins: the solution within ‖K̃⁻¹‖ times the residual of the
// textbook's, the residual against one in long double, the preconditioner against a pivoted
// Cholesky factor written out. And their bits, which know nothing of threads.
//
// With u = 2⁻⁵³ the computed residual is off by γ_{N+2}·(|y| + |K̃|·|x|) at most, and the solution
// of a residual r by |K̃⁻¹|·|r|.
#include "engine/solve/conjugate_gradients.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "engine/core/worst_of.hpp"
#include "engine/solve/pivoted_cholesky.hpp"
#include "engine/solve/solve_context.hpp"
#include "engine/solve/symmetric_product.hpp"
#include "tests/support/counting_matrix.hpp"
#include "tests/support/textbook_solver.hpp"

namespace gramtile::conjugate_gradients_test {
namespace {

constexpr double kUnit = 0x1p-53;

std::vector<double> random_values(std::uint64_t seed, Index count) {
  std::vector<double> values;
  for (Index i = 0; i < count; ++i) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    values.push_back(static_cast<double>(seed >> 11) * 0x1p-52 - 1);
  }
  return values;
}

struct Case {
  Index size, edge, num_columns, rank;
  double diagonal = 0.1, span = 0;

  /// What double allows: entries of x of small rows reach y/jitter, and those of K̃ that they meet
  /// 10^span: 1e3·1e8·2⁻⁵³ of y.
  double tolerance() const { return span > 0 ? 1e-4 : 1e-10; }
};

constexpr std::array kCases{
    Case{1, 8, 1, 0},           Case{1, 8, 2, 5},           Case{2, 8, 3, 1},
    Case{7, 8, 10, 2},          Case{8, 8, 1, 8},           Case{9, 8, 2, 0},
    Case{37, 8, 10, 5},         Case{40, 16, 5, 40},        Case{130, 32, 130, 70},
    Case{70, 512, 129, 65},     Case{50, 8, 3, 20, 1e-6},   Case{50, 8, 3, 0, 1e-6},
    Case{50, 8, 3, 10, 0.1, 8}, Case{50, 8, 3, 50, 1e-6, 8}};

std::string name_of(const Case& c) {
  return std::to_string(c.size) + " of rank " + std::to_string(c.rank);
}

/// What a residual that is computed in double may be off by, of ‖y‖; and the residual itself, in
/// long double.
struct Residual {
  double value = 0, rounding = 0;
};
Residual residual_of(const std::vector<double>& kernel, Index n, double jitter,
                     const std::vector<double>& y, const std::vector<double>& x, Index columns,
                     Index c) {
  long double square = 0, bound = 0, norm = 0;
  for (Index i = 0; i < n; ++i) {
    long double sum = y[as_size(i * columns + c)], absolute = std::abs(sum);
    norm += sum * sum;
    for (Index j = 0; j < n; ++j) {
      const double entry = kernel[as_size(i * n + j)] + (i == j ? jitter : 0.0);
      const long double term = static_cast<long double>(entry) * x[as_size(j * columns + c)];
      sum -= term;
      absolute += std::abs(term);
    }
    square += sum * sum;
    bound += absolute * absolute;
  }
  if (norm == 0) return {};
  const double gamma = static_cast<double>(n + 4) * kUnit;
  return {static_cast<double>(std::sqrt(square / norm)),
          gamma * static_cast<double>(std::sqrt(bound / norm))};
}

/// Every reported residual is the one that the solution has.
void check_residuals(const IterationReport& report, const std::vector<double>& kernel, Index n,
                     double jitter, const std::vector<double>& y, const std::vector<double>& x) {
  const Index columns = std::ssize(report.residuals);
  for (Index c = 0; c < columns; ++c) {
    const Residual exact = residual_of(kernel, n, jitter, y, x, columns, c);
    const double reported = report.residuals[as_size(c)];
    CHECK(std::abs(reported - exact.value) <= exact.rounding + 4 * kUnit * exact.value);
  }
}

TEST_SUITE("reference") {
  TEST_CASE("conjugate gradients: the solution is the textbook's within what its residual allows") {
    for (const Case& c : kCases) {
      CAPTURE(name_of(c));
      const Index n = c.size;
      const double jitter = 1e-3, tolerance = c.tolerance();
      const std::vector<double> kernel = test::random_kernel(3, n, c.diagonal, c.span);
      const test::TextbookSolver exact(kernel, n, jitter);
      const ArrayMatrix matrix(kernel, n);
      const ConjugateGradients solver(matrix, jitter, {.tolerance = tolerance, .rank = c.rank},
                                      {.num_threads = 2, .edge = c.edge});
      const std::vector<double> y = random_values(1, n * c.num_columns);
      std::vector<double> x = y;
      const IterationReport report = solver.solve(x, c.num_columns);
      CHECK(report.is_within(tolerance));
      CHECK(report.rank <= c.rank);
      REQUIRE(std::ssize(report.residuals) == c.num_columns);
      check_residuals(report, kernel, n, jitter, y, x);
      double worst = 0;  // in units of the bound
      for (Index r = 0; r < c.num_columns; ++r) {
        const Residual at_x = residual_of(kernel, n, jitter, y, x, c.num_columns, r);
        long double norm = 0;
        for (Index j = 0; j < n; ++j) {
          const long double side = y[as_size(j * c.num_columns + r)];
          norm += side * side;
        }
        const long double residual = (tolerance + at_x.rounding) * std::sqrt(norm);
        for (Index i = 0; i < n; ++i) {
          long double solution = 0, row = 0;
          for (Index j = 0; j < n; ++j) {
            solution += exact.inverse(i, j) * y[as_size(j * c.num_columns + r)];
            row += exact.inverse(i, j) * exact.inverse(i, j);
          }
          const long double error = std::abs(x[as_size(i * c.num_columns + r)] - solution);
          worst = worst_of(worst, static_cast<double>(error / (std::sqrt(row) * residual)));
        }
      }
      CHECK(worst <= 1);
    }
  }

  TEST_CASE("conjugate gradients: the same bits for any number of threads and any source") {
    for (const Case& c : kCases) {
      CAPTURE(name_of(c));
      const std::vector<double> kernel = test::random_kernel(5, c.size, c.diagonal, c.span);
      const std::vector<double> y = random_values(2, c.size * c.num_columns);
      const ArrayMatrix array(kernel, c.size);
      const test::CountingMatrix upper(kernel, c.size);
      const auto solve = [&](const SymmetricSource& source, int threads) {
        std::vector<double> x = y;
        const ConjugateGradients solver(source, 1e-3, {.rank = c.rank},
                                        {.num_threads = threads, .edge = c.edge});
        const IterationReport report = solver.solve(x, c.num_columns);
        x.insert(x.end(), report.residuals.begin(), report.residuals.end());
        return x;
      };
      const std::vector<double> expected = solve(array, 1);
      for (const int threads : {2, 3, 7}) CHECK(solve(array, threads) == expected);
      CHECK(solve(upper, 2) == expected);
    }
  }

  TEST_CASE("conjugate gradients: a pass reads the upper half once, a preconditioner its rows") {
    for (const Case& c : kCases) {
      CAPTURE(name_of(c));
      const std::vector<double> kernel = test::random_kernel(6, c.size, c.diagonal, c.span);
      const test::CountingMatrix matrix(kernel, c.size);
      const Index half = c.size * (c.size + 1) / 2;
      const ConjugateGradients solver(matrix, 1e-3, {.rank = c.rank},
                                      {.num_threads = 2, .edge = c.edge});
      CHECK(matrix.entries_read == half + std::ssize(matrix.rows_read) * c.size);
      CHECK(std::ssize(matrix.rows_read) <= c.rank);
      std::vector<Index> rows = matrix.rows_read;
      std::ranges::sort(rows);
      CHECK(std::ranges::adjacent_find(rows) == rows.end());
      matrix.entries_read = 0;
      std::vector<double> x = random_values(3, c.size * c.num_columns);
      const IterationReport report = solver.solve(x, c.num_columns);
      CHECK(report.num_passes > report.num_iterations);
      CHECK(matrix.entries_read == report.num_passes * half);
    }
  }

  TEST_CASE("conjugate gradients: products with whole numbers are exact") {
    for (const Index n : {1, 7, 8, 9, 40}) {
      std::vector<double> kernel(as_size(n * n)), p, expected;
      for (Index i = 0; i < n; ++i) {
        for (Index j = 0; j < n; ++j)
          kernel[as_size(i * n + j)] = static_cast<double>((i + j) % 11 + i * j % 7);
      }
      const Index columns = 3;
      for (Index at = 0; at < n * columns; ++at) p.push_back(static_cast<double>(at % 13 - 6));
      for (Index c = 0; c < columns; ++c) {
        for (Index i = 0; i < n; ++i) {
          double sum = 5 * p[as_size(c * n + i)];
          for (Index j = 0; j < n; ++j) sum += kernel[as_size(i * n + j)] * p[as_size(c * n + j)];
          expected.push_back(sum);
        }
      }
      const test::CountingMatrix matrix(kernel, n);
      SolveContext context({.num_threads = 2, .edge = 8});
      std::vector<double> q(p.size(), 7e77);
      SymmetricProduct(matrix, 5, context).multiply(p, columns, q);
      CHECK(q == expected);
    }
  }

  // M = s⁻¹·(W·Wᵀ + σ·I)·s⁻¹ in long double with the pivots that were chosen; each of which has to
  // be the largest that is left, but for rounding. κ(σ·I + WᵀW) ≤ N/σ, and apply() makes 2N +
  // 3·rank roundings an entry: z is off by (2N + 3·rank + 8)·u·N/σ of ‖z‖ at most.
  TEST_CASE("conjugate gradients: the preconditioner is the pivoted Cholesky factor's") {
    for (const Case& c : kCases) {
      CAPTURE(name_of(c));
      const Index n = c.size;
      const double jitter = 1e-2;
      const std::vector<double> kernel = test::random_kernel(7, n, c.diagonal, c.span);
      const ArrayMatrix matrix(kernel, n);
      SolveContext context({.num_threads = 2, .edge = c.edge});
      const PivotedCholesky fast(matrix, examine(matrix, context), jitter, c.rank, context);
      REQUIRE(fast.rank() == std::ssize(fast.pivots()));
      const auto scale = [&](Index i) {
        return 1 / std::sqrt(static_cast<long double>(kernel[as_size(i * (n + 1))] + jitter));
      };
      test::Square left(n);
      long double jitter_left = 0;
      for (Index i = 0; i < n; ++i) {
        jitter_left += jitter * scale(i) * scale(i) / n;
        for (Index j = 0; j < n; ++j) left(i, j) = kernel[as_size(i * n + j)] * scale(i) * scale(j);
      }
      test::Square m = left;  // becomes W·Wᵀ + σ·I
      for (const Index pivot : fast.pivots()) {
        for (Index i = 0; i < n; ++i)
          CHECK(left(i, i) <= left(pivot, pivot) + 8 * static_cast<double>(n) * kUnit);
        test::Square next = left;
        for (Index i = 0; i < n; ++i) {
          for (Index j = 0; j < n; ++j)
            next(i, j) -= left(i, pivot) * left(pivot, j) / left(pivot, pivot);
        }
        left = next;
      }
      long double sigma = jitter_left;
      for (Index i = 0; i < n; ++i) sigma += left(i, i) / n;
      std::vector<double> values(as_size(n * n));
      for (Index i = 0; i < n; ++i) {
        for (Index j = 0; j < n; ++j)
          values[as_size(i * n + j)] = static_cast<double>(m(i, j) - left(i, j));
      }
      const test::TextbookSolver inverse(values, n, static_cast<double>(sigma));
      const std::vector<double> r = random_values(4, n);
      std::vector<double> z(r.size());
      fast.apply(r, 1, z);
      long double square = 0, error = 0;
      for (Index i = 0; i < n; ++i) {
        long double expected = 0;
        for (Index j = 0; j < n; ++j)
          expected += sigma * inverse.inverse(i, j) * scale(j) * r[as_size(j)];
        const long double difference = z[as_size(i)] / scale(i) - expected;
        square += expected * expected;
        error += difference * difference;
      }
      const double bound =
          static_cast<double>(2 * n + 3 * c.rank + 8) * kUnit * static_cast<double>(n / sigma);
      CHECK(static_cast<double>(std::sqrt(error / square)) <= bound);
    }
  }

  TEST_CASE("conjugate gradients: with a preconditioner of full rank a few iterations do") {
    const Index n = 60;
    const std::vector<double> kernel = test::random_kernel(8, n, 1e-7);
    const ArrayMatrix matrix(kernel, n);
    const auto iterations = [&](Index rank) {
      std::vector<double> x = random_values(5, n);
      const ConjugateGradients solver(matrix, 1e-6, {.tolerance = 1e-6, .rank = rank},
                                      {.num_threads = 2, .edge = 16});
      const IterationReport report = solver.solve(x, 1);
      CHECK(report.is_within(1e-6));
      return report.num_iterations;
    };
    // M and K̃ then differ in how the jitter lies on the diagonal alone, by K̃_ii over their mean: a
    // condition of 4 or less, and ½·√4·ln(2e6) < 15 iterations.
    CHECK(iterations(n) <= 15);
    CHECK(iterations(0) > 30);
  }
}

}  // namespace
}  // namespace gramtile::conjugate_gradients_test
