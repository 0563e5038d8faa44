#include "engine/train/objective_upstream.hpp"

#include <algorithm>
#include <utility>

namespace gramtile {

void ObjectiveUpstream::set_matrix(const SymmetricSource& matrix, double scale) {
  matrix_ = &matrix;
  scale_ = scale;
}

void ObjectiveUpstream::own_matrix(std::unique_ptr<SymmetricStore> matrix, double scale) {
  owned_ = std::move(matrix);
  set_matrix(*owned_, scale);
}

void ObjectiveUpstream::add_factors(std::vector<double> u, std::vector<double> v, Index columns) {
  factors_.push_back({std::move(u), std::move(v), columns});
}

double ObjectiveUpstream::trace() const {
  double sum = diagonal_ * static_cast<double>(size_);
  for (const Factors& f : factors_) {
    for (std::size_t i = 0; i < f.u.size(); ++i) sum += f.u[i] * f.v[i];
  }
  if (matrix_ == nullptr) return sum;
  for (Index i = 0; i < size_; ++i) {
    double entry = 0;
    matrix_->read({i, i + 1}, {i, i + 1}, {&entry, 1});
    sum += scale_ * entry;
  }
  return sum;
}

// Entries below the diagonal are read as their mirror images.
void ObjectiveUpstream::read_matrix(Range rows, Range columns, std::span<double> values) const {
  const bool above = rows.start < columns.stop, below = columns.start < rows.stop;
  if (above) matrix_->read(rows, columns, values);
  if (!below) return;
  std::vector<double> mirror(values.size());
  matrix_->read(columns, rows, mirror);
  for (Index i = rows.start; i < rows.stop; ++i) {
    for (Index j = columns.start; j < std::min(i, columns.stop); ++j) {
      values[as_size((i - rows.start) * columns.size() + j - columns.start)] =
          mirror[as_size((j - columns.start) * rows.size() + i - rows.start)];
    }
  }
}

void ObjectiveUpstream::read(Range rows, Range columns, std::span<double> values) const {
  std::ranges::fill(values, 0.0);
  if (matrix_ != nullptr) read_matrix(rows, columns, values);
  for (Index i = rows.start; i < rows.stop; ++i) {
    for (Index j = columns.start; j < columns.stop; ++j) {
      double sum = scale_ * values[as_size((i - rows.start) * columns.size() + j - columns.start)];
      for (const Factors& f : factors_) {
        const double* const u = &f.u[as_size(i * f.columns)];
        const double* const v = &f.v[as_size(j * f.columns)];
        for (Index r = 0; r < f.columns; ++r) sum += u[r] * v[r];
      }
      if (i == j) sum += diagonal_;
      values[as_size((i - rows.start) * columns.size() + j - columns.start)] = sum;
    }
  }
}

}  // namespace gramtile
