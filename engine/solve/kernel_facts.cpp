#include "engine/solve/kernel_facts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/core/errors.hpp"
#include "engine/solve/solve_context.hpp"

namespace gramtile {
namespace {

/// Σ |K_ij| of one part, along its rows and along its columns, without the diagonal.
struct PartSums {
  std::vector<double> along_rows, along_columns;
};

void check_finite(std::span<const double> values, Range rows, Range columns) {
  const auto bad = std::find_if(values.begin(), values.end(),
                                [](double value) { return !std::isfinite(value); });
  if (bad == values.end()) return;
  const Index at = bad - values.begin();
  throw Error(ErrorKind::kOther, fmt::format("entry [{}, {}] of the kernel is {}; every entry "
                                             "must be finite",
                                             rows.start + at / columns.size(),
                                             columns.start + at % columns.size(), *bad));
}

/// The part strictly above the diagonal; the diagonal itself goes to `diagonal`.
PartSums sum_part(std::span<double> values, Range rows, Range columns,
                  std::vector<double>& diagonal) {
  PartSums sums{std::vector<double>(static_cast<std::size_t>(rows.size())),
                std::vector<double>(static_cast<std::size_t>(columns.size()))};
  if (rows == columns) {  // what is below the diagonal may be anything
    for (Index i = 0; i < rows.size(); ++i)
      std::fill_n(&values[static_cast<std::size_t>(i * columns.size())], i, 0.0);
  }
  check_finite(values, rows, columns);
  std::size_t at = 0;
  for (std::size_t i = 0; i < sums.along_rows.size(); ++i) {
    for (std::size_t j = 0; j < sums.along_columns.size(); ++j, ++at) {
      if (rows == columns && i == j) {
        diagonal[static_cast<std::size_t>(rows.start) + i] = values[at];
      } else {
        sums.along_rows[i] += std::abs(values[at]);
        sums.along_columns[j] += std::abs(values[at]);
      }
    }
  }
  return sums;
}

void add(std::span<const double> from, Index start, std::vector<double>& to) {
  for (std::size_t i = 0; i < from.size(); ++i) to[static_cast<std::size_t>(start) + i] += from[i];
}

}  // namespace

double KernelFacts::mean_diagonal() const {
  return std::accumulate(diagonal.begin(), diagonal.end(), 0.0) /
         static_cast<double>(diagonal.size());
}

double KernelFacts::norm(double jitter) const {
  double norm = 0;
  for (std::size_t i = 0; i < diagonal.size(); ++i)
    norm = std::max(norm, row_sums[i] + std::abs(diagonal[i] + jitter));
  return norm;
}

KernelFacts examine(const SymmetricSource& kernel, SolveContext& context) {
  const FactorGrid grid{kernel.size(), context.options().edge};
  const auto size = static_cast<std::size_t>(grid.size);
  KernelFacts facts{std::vector<double>(size), std::vector<double>(size)};
  for (Index j = 0; j < grid.num_blocks(); ++j) {
    std::vector<PartSums> parts(static_cast<std::size_t>(j + 1));
    context.for_each(j + 1, [&](Index i) {
      auto buffer = context.borrow();
      const Range rows = grid.block(i), columns = grid.block(j);
      const auto values =
          std::span(*buffer).first(static_cast<std::size_t>(rows.size() * columns.size()));
      kernel.read(rows, columns, values);
      parts[static_cast<std::size_t>(i)] = sum_part(values, rows, columns, facts.diagonal);
    });
    for (Index i = 0; i <= j; ++i) {  // in this order, whatever thread was first
      add(parts[static_cast<std::size_t>(i)].along_rows, grid.block(i).start, facts.row_sums);
      add(parts[static_cast<std::size_t>(i)].along_columns, grid.block(j).start, facts.row_sums);
    }
    context.step(0);
  }
  return facts;
}

}  // namespace gramtile
