#include "engine/solve/symmetric_product.hpp"

#include <algorithm>

#include "engine/solve/solve_context.hpp"

namespace gramtile {
namespace {

/// Rows of a block of [N, columns], column-major.
template <typename T>
blas::MatrixView<T> rows_of(std::span<T> values, Range rows, Index size, Index columns) {
  return {&values[static_cast<std::size_t>(rows.start)], rows.size(), columns, size};
}

}  // namespace

SymmetricProduct::SymmetricProduct(const SymmetricSource& kernel, double jitter,
                                   SolveContext& context)
    : kernel_(kernel),
      jitter_(jitter),
      context_(context),
      grid_{kernel.size(), context.options().edge} {}

blas::ConstMatrix SymmetricProduct::read_tile(Index i, Index j, std::span<double> buffer) const {
  const Range above = grid_.block(i), columns = grid_.block(j);
  const Index rows = columns.size();  // of the tile as it is seen, column-major
  kernel_.read(above, columns, buffer.first(static_cast<std::size_t>(above.size() * rows)));
  if (i == j) {
    double* const tile = buffer.data();
    for (Index c = 0; c < rows; ++c) {
      for (Index r = 0; r < c; ++r) tile[r + c * rows] = tile[c + r * rows];
      tile[c + c * rows] += jitter_;
    }
  }
  return {buffer.data(), rows, above.size(), rows};
}

void SymmetricProduct::multiply(std::span<const double> p, Index columns, std::span<double> q) {
  parts_.resize(q.size());
  std::ranges::fill(q, 0.0);
  for (Index j = 0; j < grid_.num_blocks(); ++j) {
    const Range own = grid_.block(j);
    context_.for_each(j + 1, [&](Index i) {
      auto buffer = context_.borrow();
      const blas::ConstMatrix tile = read_tile(i, j, *buffer);  // K_ijᵀ
      const Range above = grid_.block(i);
      blas::add_transposed_product(tile, rows_of(p, own, grid_.size, columns),
                                   rows_of(q, above, grid_.size, columns));
      if (i == j) return;
      double* const part = &parts_[static_cast<std::size_t>(i * grid_.edge * columns)];
      std::fill_n(part, own.size() * columns, 0.0);
      blas::add_product(tile, rows_of(p, above, grid_.size, columns),
                        {part, own.size(), columns, own.size()});
    });
    add_parts(j, columns, q);
    context_.step(4 * static_cast<double>(own.size() * own.start * columns) +
                  2 * static_cast<double>(own.size() * own.size() * columns));
  }
}

void SymmetricProduct::add_parts(Index j, Index columns, std::span<double> q) {
  const Range own = grid_.block(j);
  context_.for_each(columns, [&](Index c) {
    double* const sums = &q[static_cast<std::size_t>(c * grid_.size + own.start)];
    for (Index i = 0; i < j; ++i) {
      const double* const part =
          &parts_[static_cast<std::size_t>(i * grid_.edge * columns + c * own.size())];
      for (Index r = 0; r < own.size(); ++r) sums[r] += part[r];
    }
  });
}

double SymmetricProduct::flops(Index columns) const {
  const auto n = static_cast<double>(grid_.size);
  return 2 * n * n * static_cast<double>(columns);
}

}  // namespace gramtile
