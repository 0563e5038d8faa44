// The slow twin of engine/solve: Cholesky, inverse and log-determinant as a textbook writes them,
// one number at a time, in long double (64 bits of mantissa on x86: 2,000 times finer than double);
// and bounds on how far the fast one may be off.
#pragma once

#include <vector>

#include "engine/core/index.hpp"

namespace gramtile::test {

/// Square, row-major.
struct Square {
  Index size = 0;
  std::vector<long double> entries;

  explicit Square(Index n) : size(n), entries(static_cast<std::size_t>(n * n)) {}
  long double& operator()(Index i, Index j) {
    return entries[static_cast<std::size_t>(i * size + j)];
  }
  long double operator()(Index i, Index j) const {
    return entries[static_cast<std::size_t>(i * size + j)];
  }
};

struct TextbookSolver {
  Square factor;   ///< L
  Square inverse;  ///< K̃⁻¹
  long double log_determinant = 0;
  /// How far an entry of K̃⁻¹ may be off, and with it any quantity |r|ᵀ·(…)·|s|: with u = 2⁻⁵³,
  /// γ = 4N·u / (1 − 4N·u), G = |L⁻ᵀ|·|L⁻¹| ≥ |K̃⁻¹| and M = |L|·|Lᵀ|, it is γ·G·M·G. The computed
  /// factor is that of K̃ + Δ, |Δ| ≤ γ_{N+1}·M, and triangular solves are exact for an L off by
  /// γ_N·|L| (Higham, thm 10.3 and 8.5).
  Square inverse_bound;
  /// tr(|K̃⁻¹|·|Δ|), and one rounding per logarithm.
  double log_determinant_bound = 0;

  /// Of K + jitter·I, [N, N] row-major. Requires it to be positive definite.
  TextbookSolver(const std::vector<double>& kernel, Index size, double jitter);
};

/// Symmetric, positive definite, [N, N]: Gram matrix of random features, with a diagonal of about
/// `diagonal` added, its rows and columns scaled by 10^(span·i/N).
std::vector<double> random_kernel(std::uint64_t seed, Index size, double diagonal, double span = 0);

}  // namespace gramtile::test
