#include "engine/solve/kernel_facts.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/core/errors.hpp"
#include "engine/solve/solve_context.hpp"

namespace gramtile {
PartFacts::PartFacts(Range rows, Range columns)
    : rows_(rows),
      columns_(columns),
      along_rows_(static_cast<std::size_t>(rows.size())),
      along_columns_(static_cast<std::size_t>(columns.size())),
      diagonal_(static_cast<std::size_t>(rows.size())) {}

void PartFacts::add(Range rows, std::span<const double> values) {
  for (Index i = rows.start; i < rows.stop; ++i) {
    const double* const row = &values[static_cast<std::size_t>((i - rows.start) * columns_.size())];
    double& along_row = along_rows_[static_cast<std::size_t>(i - rows_.start)];
    for (Index j = std::max(i, columns_.start); j < columns_.stop; ++j) {
      const double value = row[j - columns_.start];
      if (!std::isfinite(value) && not_finite_.row < 0) not_finite_ = {i, j, value};
      if (i == j) {
        diagonal_[static_cast<std::size_t>(i - rows_.start)] = value;
      } else {
        along_row += std::abs(value);
        along_columns_[static_cast<std::size_t>(j - columns_.start)] += std::abs(value);
      }
    }
  }
}

void PartFacts::add_to(KernelFacts& facts) const {
  if (not_finite_.row >= 0)
    throw Error(ErrorKind::kOther,
                fmt::format("entry [{}, {}] of the kernel is {}; every entry must be finite",
                            not_finite_.row, not_finite_.column, not_finite_.value));
  for (Index i = rows_.start; i < rows_.stop; ++i) {
    const auto r = static_cast<std::size_t>(i - rows_.start);
    facts.row_sums[static_cast<std::size_t>(i)] += along_rows_[r];
    if (i >= columns_.start && i < columns_.stop)
      facts.diagonal[static_cast<std::size_t>(i)] = diagonal_[r];
  }
  for (Index j = columns_.start; j < columns_.stop; ++j)
    facts.row_sums[static_cast<std::size_t>(j)] +=
        along_columns_[static_cast<std::size_t>(j - columns_.start)];
}

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
  KernelFacts facts(grid.size);
  for (Index j = 0; j < grid.num_blocks(); ++j) {
    const Range columns = grid.block(j);
    std::vector<PartFacts> parts;
    for (Index i = 0; i <= j; ++i) parts.emplace_back(grid.block(i), columns);
    context.for_each(j + 1, [&](Index i) {
      auto buffer = context.borrow();
      const Range rows = grid.block(i);
      const auto values =
          std::span(*buffer).first(static_cast<std::size_t>(rows.size() * columns.size()));
      kernel.read(rows, columns, values);
      parts[static_cast<std::size_t>(i)].add(rows, values);
    });
    for (const PartFacts& part : parts) part.add_to(facts);  // whatever thread was first
    context.step(0);
  }
  return facts;
}

}  // namespace gramtile
