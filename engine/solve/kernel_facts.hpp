// What one pass over a kernel matrix tells before it is factored.
#pragma once

#include <vector>

#include "engine/solve/symmetric_source.hpp"

namespace gramtile {

class SolveContext;

struct KernelFacts {
  std::vector<double> diagonal;  ///< [N]
  std::vector<double> row_sums;  ///< Σ |K_ij| over j ≠ i, [N]

  explicit KernelFacts(Index size)
      : diagonal(static_cast<std::size_t>(size)), row_sums(static_cast<std::size_t>(size)) {}

  double mean_diagonal() const;
  /// ‖K + jitter·I‖₁.
  double norm(double jitter) const;
};

/// What one part of K adds to the facts, from its rows in their order. Entries below the diagonal
/// are passed over.
class PartFacts {
 public:
  PartFacts(Range rows, Range columns);

  /// Entries `rows` × the part's columns, row-major.
  void add(Range rows, std::span<const double> values);
  /// Adds it all to `facts`. Throws Error(kOther) naming the first entry that was not finite. In a
  /// fixed order of parts the sums have the same bits.
  void add_to(KernelFacts& facts) const;

 private:
  Range rows_, columns_;
  std::vector<double> along_rows_, along_columns_;  ///< Σ |K_ij|, i < j
  std::vector<double> diagonal_;                    ///< K_ii by row, where the part has it
  struct Entry {
    Index row = -1, column = -1;
    double value = 0;
  };
  Entry not_finite_;  ///< the first; row −1: none
};

/// Reads K once. Throws Error(kOther) naming the first entry that is not finite.
KernelFacts examine(const SymmetricSource& kernel, SolveContext& context);

}  // namespace gramtile
