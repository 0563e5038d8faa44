#include "engine/solve/pivoted_cholesky.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/solve/solve_context.hpp"

namespace gramtile {
namespace {

// Columns of W that a task takes: wide enough for dgemm, enough tasks for many threads.
constexpr Index kSliceColumns = 64;
// Rows of W that a task takes.
constexpr Index kStripRows = 2048;

Index num_parts(Index count, Index part) { return (count + part - 1) / part; }
Range part_of(Index number, Index part, Index count) {
  return {number * part, std::min((number + 1) * part, count)};
}

/// The least σ. ‖W‖² ≤ tr(W·Wᵀ) ≤ N, so that σ·I + Wᵀ·W has a condition of at most 2⁴³, and M⁻¹
/// some ten bits in its worst direction. A preconditioner needs no more.
double least_sigma(Index size) { return static_cast<double>(size) * 0x1p-43; }

}  // namespace

PivotedCholesky::PivotedCholesky(const SymmetricSource& kernel, const KernelFacts& facts,
                                 double jitter, Index most_rank, SolveContext& context)
    : size_(kernel.size()), context_(context), scale_(as_size(size_)), left_(as_size(size_)) {
  double jitter_left = 0;  // mean of s_i²·jitter
  for (std::size_t i = 0; i < scale_.size(); ++i) {
    const double diagonal = facts.diagonal[i] + jitter;
    scale_[i] = 1 / std::sqrt(diagonal);
    left_[i] = std::max(facts.diagonal[i] / diagonal, 0.0);
    jitter_left += jitter / diagonal / static_cast<double>(size_);
  }
  most_rank = std::min(most_rank, size_);
  factor_.reserve(as_size(size_ * most_rank));
  choose(kernel, most_rank);
  factor_small(jitter_left);
}

void PivotedCholesky::choose(const SymmetricSource& kernel, Index most_rank) {
  std::vector<double> row(as_size(size_));
  while (rank_ < most_rank) {
    const auto largest = std::ranges::max_element(left_);  // the first of equals
    if (!(*largest > least_sigma(size_))) return;
    const Index pivot = largest - left_.begin();
    kernel.read_row(pivot, row);
    add_column(row, pivot);
    context_.step(2 * static_cast<double>(size_ * rank_));
  }
}

// w = (s·K_p·s_p − W·W_pᵀ) / √left_p, and left − w².
void PivotedCholesky::add_column(std::span<const double> row, Index pivot) {
  const double root = std::sqrt(left_[as_size(pivot)]), own_scale = scale_[as_size(pivot)];
  std::vector<double> pivot_row(as_size(rank_));
  for (Index k = 0; k < rank_; ++k) pivot_row[as_size(k)] = factor_[as_size(k * size_ + pivot)];
  factor_.resize(as_size(size_ * (rank_ + 1)));
  double* const column = &factor_[as_size(size_ * rank_)];
  context_.for_each(num_parts(size_, kStripRows), [&](Index strip) {
    const Range rows = part_of(strip, kStripRows, size_);
    for (Index i = rows.start; i < rows.stop; ++i)
      column[i] = row[as_size(i)] * own_scale * scale_[as_size(i)];
    if (rank_ > 0)
      blas::subtract_product({&factor_[as_size(rows.start)], rows.size(), rank_, size_},
                             {pivot_row.data(), rank_, 1, rank_},
                             {column + rows.start, rows.size(), 1, size_});
    for (Index i = rows.start; i < rows.stop; ++i) {
      column[i] /= root;
      double& left = left_[as_size(i)];
      left = std::max(left - column[i] * column[i], 0.0);
    }
  });
  for (const Index earlier : pivots_) column[earlier] = 0;  // but for rounding
  left_[as_size(pivot)] = 0;
  if (!std::isfinite(std::accumulate(column, column + size_, 0.0)))
    throw Error(ErrorKind::kOther, fmt::format("row {} of the kernel is not finite", pivot));
  pivots_.push_back(pivot);
  ++rank_;
}

void PivotedCholesky::factor_small(double jitter_left) {
  const double left = std::accumulate(left_.begin(), left_.end(), 0.0);
  const double sigma =
      std::max(left / static_cast<double>(size_) + jitter_left, least_sigma(size_));
  const Index slices = num_parts(rank_, kSliceColumns);
  const auto slice = [&](Index number) {
    const Range columns = part_of(number, kSliceColumns, rank_);
    return blas::ConstMatrix{&factor_[as_size(columns.start * size_)], size_, columns.size(),
                             size_};
  };
  for (double more = sigma;; more *= 16) {  // once, but for rounding at its worst
    small_.assign(as_size(rank_ * rank_), 0.0);
    context_.for_each(slices * slices, [&](Index task) {
      const Index i = task / slices, j = task % slices;
      if (i < j) return;
      const Index first = i * kSliceColumns + j * kSliceColumns * rank_;
      blas::add_transposed_product(
          slice(i), slice(j), {&small_[as_size(first)], slice(i).columns, slice(j).columns, rank_});
    });
    for (Index k = 0; k < rank_; ++k) small_[as_size(k * (rank_ + 1))] += more;
    context_.step(static_cast<double>(size_ * rank_ * rank_));
    if (rank_ == 0 || blas::cholesky({small_.data(), rank_, rank_, rank_}) < 0) return;
  }
}

void PivotedCholesky::apply(std::span<const double> r, Index columns, std::span<double> z) const {
  context_.for_each(columns, [&](Index c) {
    for (Index i = 0; i < size_; ++i)
      z[as_size(c * size_ + i)] = r[as_size(c * size_ + i)] * scale_[as_size(i)];
  });
  std::vector<double> inner(as_size(rank_ * columns));  // (σ·I + Wᵀ·W)⁻¹·Wᵀ·s·R
  context_.for_each(num_parts(rank_, kSliceColumns), [&](Index slice) {
    const Range part = part_of(slice, kSliceColumns, rank_);
    blas::add_transposed_product({&factor_[as_size(part.start * size_)], size_, part.size(), size_},
                                 {z.data(), size_, columns, size_},
                                 {&inner[as_size(part.start)], part.size(), columns, rank_});
  });
  if (rank_ > 0) {
    const blas::ConstMatrix l{small_.data(), rank_, rank_, rank_};
    blas::divide_left(l, {inner.data(), rank_, columns, rank_});
    blas::divide_left_transposed(l, {inner.data(), rank_, columns, rank_});
  }
  context_.for_each(num_parts(size_, kStripRows), [&](Index strip) {
    const Range rows = part_of(strip, kStripRows, size_);
    if (rank_ > 0)
      blas::subtract_product({&factor_[as_size(rows.start)], rows.size(), rank_, size_},
                             {inner.data(), rank_, columns, rank_},
                             {&z[as_size(rows.start)], rows.size(), columns, size_});
    for (Index c = 0; c < columns; ++c) {
      for (Index i = rows.start; i < rows.stop; ++i)
        z[as_size(c * size_ + i)] *= scale_[as_size(i)];
    }
  });
  context_.step(apply_flops(columns));
}

double PivotedCholesky::flops(Index size, Index rank) {
  return 2 * static_cast<double>(size) * static_cast<double>(rank) * static_cast<double>(rank);
}

double PivotedCholesky::apply_flops(Index columns) const {
  return 4 * static_cast<double>(size_ * rank_ * columns);
}

}  // namespace gramtile
