// Products with K + jitter·I that read K once, part by part, and only its upper half.
//
//   for every block column j:   Q_i ← Q_i + K_ij·P_j for i ≤ j, straight into Q
//                               K_ijᵀ·P_i for i < j, each into a place of its own, then added up
//
// Every number of Q gets its sums in the order of the block columns, whatever thread was first: so
// the bits do not depend on the number of threads.
#pragma once

#include <span>
#include <vector>

#include "engine/solve/factor_store.hpp"
#include "engine/solve/symmetric_source.hpp"

namespace gramtile {

class SolveContext;

class SymmetricProduct {
 public:
  /// `kernel` and `context` must live as long. Blocks have the edge of the context's options.
  SymmetricProduct(const SymmetricSource& kernel, double jitter, SolveContext& context);

  /// Q = (K + jitter·I)·P, both [N, columns], column-major; not the same memory. Takes as much
  /// again. Throws what reading throws, and Error(kInterrupted).
  void multiply(std::span<const double> p, Index columns, std::span<double> q);

  /// Floating-point operations of one product.
  double flops(Index columns) const;

 private:
  /// Tile (i, j) of K̃ into `buffer`, as [rows of j, rows of i], column-major; that on the diagonal
  /// whole.
  blas::ConstMatrix read_tile(Index i, Index j, std::span<double> buffer) const;
  void add_parts(Index j, Index columns, std::span<double> q);

  const SymmetricSource& kernel_;
  const double jitter_;
  SolveContext& context_;
  const FactorGrid grid_;
  std::vector<double> parts_;  ///< K_ijᵀ·P_i of one block column, by i
};

}  // namespace gramtile
