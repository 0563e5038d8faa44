// An array as a solver's source that counts what is read of it, and refuses to be read below the
// diagonal: there it gives NaN.
#pragma once

#include <atomic>
#include <limits>
#include <mutex>
#include <vector>

#include "engine/solve/symmetric_source.hpp"

namespace gramtile::test {

class CountingMatrix final : public SymmetricSource {
 public:
  CountingMatrix(std::span<const double> values, Index size) : values_(values), size_(size) {}

  Index size() const override { return size_; }
  void read(Range rows, Range columns, std::span<double> values) const override {
    std::size_t out = 0;
    for (Index i = rows.start; i < rows.stop; ++i) {
      for (Index j = columns.start; j < columns.stop; ++j) {
        values[out++] = i <= j ? values_[static_cast<std::size_t>(i * size_ + j)]
                               : std::numeric_limits<double>::quiet_NaN();
        entries_read += i <= j ? 1 : 0;
      }
    }
  }
  void read_row(Index row, std::span<double> values) const override {
    SymmetricSource::read_row(row, values);
    rows_read.push_back(row);
  }

  mutable std::atomic<Index> entries_read = 0;  ///< on and above the diagonal
  mutable std::vector<Index> rows_read;

 private:
  std::span<const double> values_;
  Index size_;
};

}  // namespace gramtile::test
