// K̃ = K + jitter·I factored once, and what is asked of it: solves, log-determinant, the diagonal
// and the tiles of its inverse. In memory and on disk are one schedule over two stores
// (engine/solve/factor_store.hpp), and give the same bits.
//
//   SymmetricSource → examine → factorise → FactorStore → forward and backward sweeps → numbers
//
// docs/library.md has a worked example. One caller at a time.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/core/errors.hpp"
#include "engine/solve/factorise.hpp"
#include "engine/solve/kernel_facts.hpp"
#include "engine/solve/solve_options.hpp"

namespace gramtile {

/// K̃ has no Cholesky factor, or none that rounding leaves anything of.
struct NotPositiveDefinite : Error {
  NotPositiveDefinite(PivotFailure failure_, double jitter_);
  PivotFailure failure;
  double jitter;
};

class KernelSolver {
 public:
  /// Factors in memory: N·(N + edge)/2 numbers. Throws NotPositiveDefinite, Error(kOther) for an
  /// entry that is not finite, Error(kInterrupted).
  KernelSolver(const SymmetricSource& kernel, double jitter, const SolverOptions& options = {});
  /// The same of an array [N, N], row-major, of which the upper triangle is read; not needed
  /// afterwards.
  KernelSolver(std::span<const double> kernel, Index size, double jitter,
               const SolverOptions& options = {});
  /// Factors into `store`, which must live as long; continues with its first panel that was not
  /// kept, which must be of the same K̃. options.edge is the store's.
  KernelSolver(const SymmetricSource& kernel, const KernelFacts& facts, double jitter,
               FactorStore& store, const SolverOptions& options);
  ~KernelSolver();
  KernelSolver(KernelSolver&&) noexcept;

  Index size() const;
  double jitter() const;

  /// log det K̃ = 2 Σ log L_ii.
  double log_determinant() const;

  /// K̃⁻¹·Y in place: `values` is Y [N, num_columns], row-major.
  void solve(std::span<double> values, Index num_columns) const;

  /// rᵀ·K̃⁻¹·r for each row r of `rows` [num_rows, N], row-major; overwrites them.
  std::vector<double> quadratic_forms(std::span<double> rows, Index num_rows) const;

  /// The diagonal of K̃⁻¹, [N]. Costs as much as the factorisation, and reads the factor once for as
  /// many columns as options.memory_bytes hold.
  std::vector<double> inverse_diagonal() const;
  /// Its floating-point operations, about.
  static double inverse_diagonal_flops(const FactorGrid& grid);

  /// Entries rows × columns of K̃⁻¹, row-major; rows.start ≥ columns.start, and those that the
  /// diagonal crosses are whole.
  using InverseSink =
      std::function<void(Range rows, Range columns, std::span<const double> values)>;
  /// Every tile of K̃⁻¹ on and below its diagonal, once, by block columns from the left; within one
  /// from the top. Costs twice the factorisation.
  void inverse_tiles(const InverseSink& sink) const;

  /// Of ‖K̃‖₁·‖K̃⁻¹‖₁: the first exact, the second Higham's estimate.
  double condition_estimate() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gramtile
