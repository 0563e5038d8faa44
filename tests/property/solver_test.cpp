// KernelSolver against its slow twin (tests/support/textbook_solver.hpp), within the bounds derived
// there: sizes around the tiles' edges, one and many right-hand sides, rows scaled over 16 decades.
// And its bits: of the number of threads, of the store and of the panels they know nothing.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <string>

#include "engine/core/worst_of.hpp"
#include "engine/solve/kernel_solver.hpp"
#include "engine/solve/solve_context.hpp"
#include "tests/support/panel_store.hpp"
#include "tests/support/textbook_solver.hpp"

namespace gramtile::solver_test {
namespace {

std::vector<double> random_values(std::uint64_t seed, Index count) {
  std::vector<double> values;
  for (Index i = 0; i < count; ++i) {
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    values.push_back(static_cast<double>(seed >> 11) * 0x1p-52 - 1);
  }
  return values;
}

struct Case {
  Index size, edge, num_columns;
  double diagonal = 0.1, span = 0;
};

constexpr std::array kCases{Case{1, 8, 1},        Case{2, 8, 3},         Case{7, 8, 10},
                            Case{8, 8, 1},        Case{9, 8, 2},         Case{37, 8, 10},
                            Case{40, 16, 5},      Case{130, 32, 130},    Case{70, 512, 129},
                            Case{50, 8, 3, 1e-6}, Case{50, 8, 3, 0.1, 8}};

std::string name_of(const Case& c) {
  return std::to_string(c.size) + " in tiles of " + std::to_string(c.edge);
}

/// Everything that is asked of a solver, as one list of numbers.
std::vector<double> all_numbers(const KernelSolver& solver, Index num_columns) {
  const Index n = solver.size();
  std::vector<double> numbers{solver.log_determinant(), solver.condition_estimate()};
  const auto add = [&](std::span<const double> more) {
    numbers.insert(numbers.end(), more.begin(), more.end());
  };
  std::vector<double> sides = random_values(1, n * num_columns), rows = sides;
  solver.solve(sides, num_columns);
  add(sides);
  add(solver.quadratic_forms(rows, num_columns));
  add(solver.inverse_diagonal());
  solver.inverse_tiles([&](Range, Range, std::span<const double> tile) { add(tile); });
  return numbers;
}

TEST_SUITE("reference") {
  TEST_CASE("solver: solves, forms, inverse and determinant are the textbook's within its bounds") {
    for (const Case& c : kCases) {
      CAPTURE(name_of(c));
      const std::vector<double> kernel = test::random_kernel(3, c.size, c.diagonal, c.span);
      const double jitter = 1e-3;
      const test::TextbookSolver exact(kernel, c.size, jitter);
      const KernelSolver solver(kernel, c.size, jitter, {.num_threads = 2, .edge = c.edge});
      const Index n = c.size;
      CHECK(std::abs(static_cast<double>(solver.log_determinant() - exact.log_determinant)) <=
            exact.log_determinant_bound);

      const std::vector<double> y = random_values(1, n * c.num_columns);
      std::vector<double> x = y, rows = y;
      solver.solve(x, c.num_columns);
      const std::vector<double> forms = solver.quadratic_forms(rows, c.num_columns);
      double worst_solve = 0, worst_form = 0;  // in units of the bound
      for (Index r = 0; r < c.num_columns; ++r) {
        long double form = 0, form_bound = 0;
        for (Index i = 0; i < n; ++i) {
          long double sum = 0, bound = 0;
          for (Index j = 0; j < n; ++j) {
            const long double side = y[static_cast<std::size_t>(j * c.num_columns + r)];
            sum += exact.inverse(i, j) * side;
            bound += exact.inverse_bound(i, j) * std::abs(side);
            const long double left = y[static_cast<std::size_t>(r * n + i)];
            const long double right = y[static_cast<std::size_t>(r * n + j)];
            form += left * exact.inverse(i, j) * right;
            form_bound += std::abs(left) * exact.inverse_bound(i, j) * std::abs(right);
          }
          const long double error = x[static_cast<std::size_t>(i * c.num_columns + r)] - sum;
          worst_solve = worst_of(worst_solve, static_cast<double>(std::abs(error) / bound));
        }
        const long double error = forms[static_cast<std::size_t>(r)] - form;
        worst_form = worst_of(worst_form, static_cast<double>(std::abs(error) / form_bound));
      }
      CHECK(worst_solve <= 1);
      CHECK(worst_form <= 1);
    }
  }

  TEST_CASE("solver: every tile of the inverse comes once, and holds the textbook's entries") {
    for (const Case& c : kCases) {
      CAPTURE(name_of(c));
      const std::vector<double> kernel = test::random_kernel(4, c.size, c.diagonal, c.span);
      const test::TextbookSolver exact(kernel, c.size, 0);
      const KernelSolver solver(kernel, c.size, 0, {.num_threads = 2, .edge = c.edge});
      const auto in_bounds = [&](Index i, Index j, double value) {
        const long double error = std::abs(value - exact.inverse(i, j));
        return static_cast<double>(error / exact.inverse_bound(i, j));
      };
      std::vector<int> seen(static_cast<std::size_t>(c.size * c.size));
      double worst = 0;
      solver.inverse_tiles([&](Range rows, Range columns, std::span<const double> values) {
        REQUIRE(rows.start >= columns.start);
        std::size_t at = 0;
        for (Index i = rows.start; i < rows.stop; ++i) {
          for (Index j = columns.start; j < columns.stop; ++j, ++at) {
            ++seen[static_cast<std::size_t>(i * c.size + j)];
            worst = worst_of(worst, in_bounds(i, j, values[at]));
          }
        }
      });
      const std::vector<double> diagonal = solver.inverse_diagonal();
      for (Index i = 0; i < c.size; ++i) {
        worst = worst_of(worst, in_bounds(i, i, diagonal[static_cast<std::size_t>(i)]));
        for (Index j = 0; j <= i; ++j) CHECK(seen[static_cast<std::size_t>(i * c.size + j)] == 1);
      }
      CHECK(worst <= 1);
    }
  }

  TEST_CASE("solver: the same bits for any number of threads, store, panel and memory") {
    for (const Case& c : kCases) {
      CAPTURE(name_of(c));
      const std::vector<double> kernel = test::random_kernel(5, c.size, c.diagonal, c.span);
      const ArrayMatrix matrix(kernel, c.size);
      const std::vector<double> expected = all_numbers(
          KernelSolver(matrix, 0.01, {.num_threads = 1, .edge = c.edge}), c.num_columns);
      for (const int threads : {2, 3, 7}) {
        SolverOptions options{.num_threads = threads, .edge = c.edge};
        options.memory_bytes = threads == 3 ? 1 : options.memory_bytes;
        CHECK(all_numbers(KernelSolver(matrix, 0.01, options), c.num_columns) == expected);
        SolveContext context(options);
        const KernelFacts facts = examine(matrix, context);
        for (const Index width : {1, 2, 5}) {
          test::PanelStore store({c.size, c.edge}, width);
          CHECK(all_numbers(KernelSolver(matrix, facts, 0.01, store, options), c.num_columns) ==
                expected);
        }
      }
    }
  }

  TEST_CASE("solver: a factorisation that was stopped after any panel goes on to the same bits") {
    const Index size = 61;
    const std::vector<double> kernel = test::random_kernel(6, size, 0.1);
    const ArrayMatrix matrix(kernel, size);
    const SolverOptions options{.num_threads = 2, .edge = 8};
    const std::vector<double> expected = all_numbers(KernelSolver(matrix, 0.01, options), 3);
    SolveContext context(options);
    const KernelFacts facts = examine(matrix, context);
    for (Index panels = 0; panels < 4; ++panels) {
      test::PanelStore store({size, 8}, 2);
      store.stop_after(panels);
      CHECK_THROWS_AS(KernelSolver(matrix, facts, 0.01, store, options), Error);
      CHECK(store.num_kept() == 2 * panels);
      store.stop_after(-1);
      CHECK(all_numbers(KernelSolver(matrix, facts, 0.01, store, options), 3) == expected);
    }
  }

  TEST_CASE("solver: the condition estimate is a lower bound, and near the condition number") {
    for (const Case& c : kCases) {
      CAPTURE(name_of(c));
      const std::vector<double> kernel = test::random_kernel(7, c.size, c.diagonal, c.span);
      const test::TextbookSolver exact(kernel, c.size, 0);
      const KernelSolver solver(kernel, c.size, 0, {.num_threads = 2, .edge = c.edge});
      double norm = 0, inverse_norm = 0, inverse_bound = 0;
      for (Index j = 0; j < c.size; ++j) {
        double sum = 0, inverse_sum = 0, bound = 0;
        for (Index i = 0; i < c.size; ++i) {
          sum += std::abs(kernel[static_cast<std::size_t>(i * c.size + j)]);
          inverse_sum += std::abs(static_cast<double>(exact.inverse(i, j)));
          bound += static_cast<double>(exact.inverse_bound(i, j));
        }
        norm = std::max(norm, sum);
        inverse_norm = std::max(inverse_norm, inverse_sum);
        inverse_bound = std::max(inverse_bound, bound);
      }
      const double estimate = solver.condition_estimate();
      const double rounding = 4 * static_cast<double>(c.size) * 0x1p-53;
      CHECK(estimate <= norm * (inverse_norm + inverse_bound) * (1 + rounding));
      CHECK(estimate >= norm * inverse_norm / 3);
    }
  }
}

}  // namespace
}  // namespace gramtile::solver_test
