// Inside of the solver: threads, buffers for tiles, stop and progress, passed around together.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/core/errors.hpp"
#include "engine/parallel/executor.hpp"
#include "engine/parallel/workspace_pool.hpp"
#include "engine/solve/factor_store.hpp"
#include "engine/solve/solve_options.hpp"

namespace gramtile {

class SolveContext {
 public:
  explicit SolveContext(const SolverOptions& options);

  /// body(0) … body(count − 1), in parallel.
  void for_each(Index count, const std::function<void(Index)>& body) {
    executor_->for_each(count, body);
  }
  /// A buffer for one tile.
  auto borrow() { return buffers_.borrow(); }

  /// Between two steps: reports what was done, and throws Error(kInterrupted) when asked to stop.
  void step(double flops) const;

  const SolverOptions& options() const { return options_; }

 private:
  blas::OneThread one_thread_;
  SolverOptions options_;
  std::unique_ptr<Executor> executor_;
  WorkspacePool<std::vector<double>> buffers_;
};

/// Tile (row, column) of a factor as an operand.
inline blas::ConstMatrix tile_of(const FactorStore& store, Index row, Index column,
                                 std::span<double> buffer) {
  const FactorGrid& grid = store.grid();
  const Index rows = grid.block(row).size();
  return {store.tile(row, column, buffer), rows, grid.block(column).size(), rows};
}

}  // namespace gramtile
