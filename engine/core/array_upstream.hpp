// ∂L/∂K that is already in memory, as a MatrixSource. Reading is const underneath, so several
// threads may read the same upstream.
#pragma once

#include <span>
#include <vector>

#include "engine/core/index.hpp"
#include "engine/core/ports.hpp"
#include "engine/core/views.hpp"

namespace gramtile {

/// A matrix [num_rows, num_columns] in memory. It need not be symmetric.
class ArrayUpstream : public MatrixSource {
 public:
  /// Looks at values that the caller keeps alive and unchanged.
  /// Throws Error(kUsage) when an extent is below 1, and DataError naming the first entry that is
  /// not finite.
  explicit ArrayUpstream(const MatrixView& values);
  /// The same of row-major values; throws Error(kUsage) also when their number does not fit.
  ArrayUpstream(std::span<const double> values, Index num_rows, Index num_columns);
  /// A temporary would be gone before it is read.
  ArrayUpstream(std::vector<double>&& values, Index num_rows, Index num_columns) = delete;

  /// Throws Error(kUsage) when the ranges or the size of `values` do not fit.
  void read(Range rows, Range columns, std::span<double> values) const override;
  Index num_rows() const override { return view_.num_rows; }
  Index num_columns() const override { return view_.num_columns; }

 private:
  void read_row(Index row, Range columns, double* values) const;

  MatrixView view_;
};

}  // namespace gramtile
