// The preconditioner of conjugate gradients: a partial Cholesky factor of K with greedy pivots, and
// what it leaves over of the diagonal. Scaled by s_i = 1/√K̃_ii, so that rows of any size count
// alike:
//
//   s·K·s ≈ W·Wᵀ, W [N, rank],      M = s⁻¹·(W·Wᵀ + σ·I)·s⁻¹,      σ = mean of what is left +
//   jitter M⁻¹ = s·(I − W·(σ·I + Wᵀ·W)⁻¹·Wᵀ)·s / σ
//
// The pivot is the example of which most is left; only its row of K is read. Harbrecht, Peters,
// Schneider, On the low-rank approximation by the pivoted Cholesky decomposition (2012); as a
// preconditioner: Gardner et al., GPyTorch (2018), §4.1; docs/mathematics.md §11.
#pragma once

#include <span>
#include <vector>

#include "engine/solve/kernel_facts.hpp"
#include "engine/solve/symmetric_source.hpp"

namespace gramtile {

class SolveContext;

class PivotedCholesky {
 public:
  /// Of rank `most_rank`, or less where nothing is left. Requires K_ii + jitter > 0 for all i.
  /// Throws Error(kOther) for a row that is not finite, and Error(kInterrupted).
  PivotedCholesky(const SymmetricSource& kernel, const KernelFacts& facts, double jitter,
                  Index most_rank, SolveContext& context);

  Index rank() const { return rank_; }
  /// Rows of K that were chosen, in their order, [rank].
  const std::vector<Index>& pivots() const { return pivots_; }

  /// Z = σ·M⁻¹·R, both [N, columns], column-major; the factor σ changes nothing in the iteration.
  void apply(std::span<const double> r, Index columns, std::span<double> z) const;

  /// Floating-point operations of making one, and of applying it once.
  static double flops(Index size, Index rank);
  double apply_flops(Index columns) const;

 private:
  void choose(const SymmetricSource& kernel, Index most_rank);
  void add_column(std::span<const double> row, Index pivot);
  void factor_small(double jitter_left);

  const Index size_;
  SolveContext& context_;
  Index rank_ = 0;
  std::vector<double> scale_;   ///< s, [N]
  std::vector<double> left_;    ///< diagonal of s·K·s − W·Wᵀ, [N]
  std::vector<double> factor_;  ///< W, [N, rank], column-major
  std::vector<double> small_;   ///< Cholesky factor of σ·I + Wᵀ·W, [rank, rank], lower
  std::vector<Index> pivots_;
};

}  // namespace gramtile
