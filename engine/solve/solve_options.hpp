// What every operation of the solver needs besides its operands.
#pragma once

#include <cstddef>
#include <functional>
#include <stop_token>

#include "engine/core/index.hpp"

namespace gramtile {

/// Edge of a factor's tile. The bits of every result depend on it, so it is the same everywhere;
/// the rate of dgemm on tiles grows up to here, and memory and the unequal ends of a panel with it
/// (docs/decisions/solve_in_tiles.md). Tests take small ones.
inline constexpr Index kFactorEdge = 640;

struct SolverOptions {
  int num_threads = 0;  ///< 0: every hardware thread
  Index edge = kFactorEdge;
  /// For right-hand sides and inverses, besides the factor and the caller's arrays. At least 128
  /// columns are held.
  std::size_t memory_bytes = std::size_t{256} << 20;
  /// Ends the work within the products of a few tiles with Error(kInterrupted). What a store has
  /// kept stays.
  std::stop_token stop = {};
  /// Called with the floating-point operations that were done since the last call, from the thread
  /// that called the solver.
  std::function<void(double flops)> on_progress = {};
};

}  // namespace gramtile
