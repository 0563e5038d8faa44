// Port: where the solver has its matrix from. io/solve/ implements it on kernel files.
#pragma once

#include <span>

#include "engine/core/index.hpp"
#include "engine/core/ports.hpp"

namespace gramtile {

/// A symmetric matrix K [N, N] that is read part by part, as often as it is needed. Of read(), only
/// entries on and above the diagonal are looked at; of a part that the diagonal crosses those below
/// it may be anything. It is called from several threads at once.
class SymmetricSource : public MatrixSource {
 public:
  virtual Index size() const = 0;
  Index num_rows() const final { return size(); }
  Index num_columns() const final { return size(); }
  /// Row `row` of the whole matrix, [N]. Here: what is below the diagonal is read from above it.
  virtual void read_row(Index row, std::span<double> values) const {
    const auto before = static_cast<std::size_t>(row);
    if (row > 0) read({0, row}, {row, row + 1}, values.first(before));
    read({row, row + 1}, {row, size()}, values.subspan(before));
  }
};

/// An array [N, N], row-major, that lives as long.
class ArrayMatrix final : public SymmetricSource {
 public:
  /// Requires values.size() = size².
  ArrayMatrix(std::span<const double> values, Index size) : values_(values), size_(size) {}

  Index size() const override { return size_; }
  void read(Range rows, Range columns, std::span<double> values) const override {
    std::size_t out = 0;
    for (Index i = rows.start; i < rows.stop; ++i) {
      for (Index j = columns.start; j < columns.stop; ++j)
        values[out++] = values_[static_cast<std::size_t>(i * size_ + j)];
    }
  }

 private:
  std::span<const double> values_;
  Index size_;
};

}  // namespace gramtile
