// Where the matrices of one evaluation live: K, the factor of K̃ and what is made of its inverse.
// Memory here; io/train/ has the port on work files.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/solve/kernel_solver.hpp"
#include "engine/solve/symmetric_source.hpp"

namespace gramtile {

/// A symmetric matrix that is written part by part, then read.
class SymmetricStore : public SymmetricSource {
 public:
  /// Entries rows × columns, row-major, of which only those on and above the diagonal are kept.
  /// Parts of different places may be written from several threads at once.
  virtual void write(Range rows, Range columns, std::span<const double> values) = 0;
};

/// A solver and what it stands on.
class FactoredKernel {
 public:
  virtual ~FactoredKernel() = default;
  virtual const KernelSolver& solver() const = 0;
};

class MatrixRoom {
 public:
  virtual ~MatrixRoom() = default;

  /// A matrix [size, size] of which nothing is known yet.
  virtual std::unique_ptr<SymmetricStore> make_store(Index size) = 0;
  /// Factors kernel + jitter·I. Throws NotPositiveDefinite, and what KernelSolver throws besides.
  virtual std::unique_ptr<FactoredKernel> factor(const SymmetricSource& kernel, double jitter) = 0;
  /// For everything that is done with them.
  virtual const SolverOptions& options() const = 0;
};

/// All in memory: 8·N² bytes a matrix, half of that a factor.
std::unique_ptr<MatrixRoom> make_memory_room(const SolverOptions& options);

/// Every tile of K̃⁻¹ into `store`.
void store_inverse(const KernelSolver& solver, SymmetricStore& store);

}  // namespace gramtile
