// What one pass over a kernel matrix tells before it is factored.
#pragma once

#include <vector>

#include "engine/solve/symmetric_source.hpp"

namespace gramtile {

class SolveContext;

struct KernelFacts {
  std::vector<double> diagonal;  ///< [N]
  std::vector<double> row_sums;  ///< Σ |K_ij| over j ≠ i, [N]

  double mean_diagonal() const;
  /// ‖K + jitter·I‖₁.
  double norm(double jitter) const;
};

/// Reads K once. Throws Error(kOther) naming the first entry that is not finite.
KernelFacts examine(const SymmetricSource& kernel, SolveContext& context);

}  // namespace gramtile
