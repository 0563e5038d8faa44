// K̃·A = Y, K̃ = K + jitter·I, by preconditioned conjugate gradients, where N³ is too much: one pass
// over the upper half of K an iteration, for all right-hand sides together.
//
//   SymmetricSource → examine → PivotedCholesky → iterations → A and the residuals it really has
//
// Each column has its own step lengths (Hestenes and Stiefel, 1952); what the columns share is the
// reading of K. Nothing else is shared, and why: docs/decisions/conjugate_gradients.md. There is no
// log-determinant, no diagonal of the inverse here: those take a factor (kernel_solver.hpp).
//
// One caller at a time.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/solve/kernel_facts.hpp"
#include "engine/solve/solve_options.hpp"
#include "engine/solve/symmetric_source.hpp"

namespace gramtile {

struct IterationOptions {
  /// Of ‖y − K̃·a‖/‖y‖, of every column, computed from a and not carried along.
  double tolerance = 1e-8;
  /// Of the preconditioner, which takes as many columns [N]. The bits of the result depend on it.
  Index rank = 100;
  /// A column whose residual was not halved within so many iterations has stalled.
  Index patience = 200;
  /// Told after every iteration: how many there were, and the largest residual of those columns
  /// that go on, as the recurrence has it.
  std::function<void(Index iterations, double residual)> on_iteration = {};
};

/// How far a solve came.
struct IterationReport {
  std::vector<double> residuals;  ///< ‖y − K̃·a‖/‖y‖, recomputed, [C]; 0 for y = 0
  Index num_iterations = 0;
  Index num_passes = 0;  ///< over K
  Index rank = 0;        ///< of the preconditioner
  /// The first pᵀ·K̃·p/pᵀ·p ≤ 0 that ended a column: K̃ is not positive definite within rounding.
  std::optional<double> curvature = {};

  double largest_residual() const;
  bool is_within(double tolerance) const;  ///< false for NaN
};

class ConjugateGradients {
 public:
  /// Right-hand sides that are held at a time; more of them take their turns.
  static constexpr Index kMostColumns = 128;

  /// `kernel` must live as long. Makes the preconditioner. Throws NotPositiveDefinite for a
  /// diagonal that is not positive, Error(kOther) for an entry that is not finite,
  /// Error(kInterrupted).
  ConjugateGradients(const SymmetricSource& kernel, double jitter,
                     const IterationOptions& iteration = {}, const SolverOptions& options = {});
  /// The same with facts that are known; they are not needed afterwards.
  ConjugateGradients(const SymmetricSource& kernel, const KernelFacts& facts, double jitter,
                     const IterationOptions& iteration, const SolverOptions& options);
  ~ConjugateGradients();
  ConjugateGradients(ConjugateGradients&&) noexcept;
  ConjugateGradients& operator=(ConjugateGradients&&) noexcept;

  Index size() const;

  /// K̃⁻¹·Y in place: `values` is Y [N, num_columns], row-major. Ends when every column is within
  /// the tolerance or has stalled; the report says which. Throws Error(kInterrupted).
  IterationReport solve(std::span<double> values, Index num_columns) const;

  /// Memory that making and solving take, besides the caller's arrays [bytes].
  static double num_bytes(Index size, Index num_columns, Index rank);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gramtile
