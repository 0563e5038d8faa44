// What conjugate gradients take: memory, and for every iteration a pass over the kernel file.
#pragma once

#include "apps/common/predict_plan.hpp"

namespace gramtile::apps {

/// Of the preconditioner, at most. docs/decisions/conjugate_gradients.md has what more would bring.
inline constexpr Index kMostRank = 512;

struct IterationPlan {
  /// As many columns [N] as a quarter of --memory holds, kMostRank at most. Of --memory alone: the
  /// bits depend on it, and must not depend on the number of threads.
  Index rank = 0;
  /// For rows of K(Y, X), afterwards.
  std::size_t working_bytes = 0;
  double pass_bytes = 0, pass_flops = 0;  ///< of one iteration
  double kernel_read_bytes = 0;           ///< before the first: hashes, facts, the chosen rows
};

/// Throws Error(kUsage), naming the least --memory that would do.
IterationPlan plan_iteration(const SolveSize& size, std::size_t memory_bytes);

/// Lines for --dry-run.
std::string describe_iteration(const IterationPlan& plan, const SolveSize& size,
                               std::size_t memory_bytes, double tolerance);

}  // namespace gramtile::apps
