// Whether a factor is kept in memory or on disk, and what a run costs: operations, bytes read and
// written.
#pragma once

#include <cstdint>
#include <string>

#include "engine/core/index.hpp"
#include "engine/solve/factor_store.hpp"

namespace gramtile::apps {

/// What is solved, as far as memory and time depend on it.
struct SolveSize {
  Index num_training = 0;   ///< N
  Index num_outputs = 0;    ///< C
  Index num_variances = 0;  ///< rows whose variance is asked for
  int num_threads = 1;
  std::size_t kernel_element_bytes = 8;
};

struct SolvePlan {
  FactorGrid grid;
  bool in_memory = true;
  /// For panels, right-hand sides, columns of the inverse: one after another.
  std::size_t working_bytes = 0;
  Index num_panels = 0;
  double flops = 0;
  /// Of the kernel file, and of the work file (0 in memory).
  double kernel_read_bytes = 0, work_read_bytes = 0, work_bytes = 0;
};

/// `on_disk`: a run that keeps its factor there is continued. Throws Error(kUsage), naming the
/// least
/// --memory that would do, when not even one block column fits.
SolvePlan plan_solve(const SolveSize& size, std::size_t memory_bytes, bool on_disk);

/// What a run takes whatever it solves with: the process, targets and results.
std::size_t fixed_bytes(const SolveSize& size);
/// Throws Error(kUsage) with the least --memory.
[[noreturn]] void refuse_memory(const SolveSize& size, std::size_t memory_bytes, std::size_t least);

/// Lines for --dry-run.
std::string describe_plan(const SolvePlan& plan, const SolveSize& size, std::size_t memory_bytes);

}  // namespace gramtile::apps
