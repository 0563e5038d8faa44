#include "apps/common/iteration_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/common/units.hpp"
#include "engine/solve/conjugate_gradients.hpp"
#include "engine/solve/triangular.hpp"

namespace gramtile::apps {
namespace {

Index rank_in(const SolveSize& size, std::size_t memory_bytes) {
  const Index fit = static_cast<Index>(memory_bytes / 4 / 8) / size.num_training;
  return std::min({fit, kMostRank, size.num_training});
}

/// Everything that a run with that much memory takes.
std::size_t needed_bytes(const SolveSize& size, std::size_t memory_bytes) {
  const double solving = ConjugateGradients::num_bytes(size.num_training, size.num_outputs,
                                                       rank_in(size, memory_bytes));
  const auto rows = static_cast<std::size_t>(size.num_training * kRightColumns) * 8;
  return fixed_bytes(size) + std::max(static_cast<std::size_t>(solving), rows);
}

std::size_t least_bytes(const SolveSize& size) {
  std::size_t bytes = needed_bytes(size, 0);
  while (needed_bytes(size, bytes) > bytes) bytes = needed_bytes(size, bytes);
  return bytes;
}

}  // namespace

IterationPlan plan_iteration(const SolveSize& size, std::size_t memory_bytes) {
  if (needed_bytes(size, memory_bytes) > memory_bytes)
    refuse_memory(size, memory_bytes, least_bytes(size));
  const auto n = static_cast<double>(size.num_training);
  const double element = static_cast<double>(size.kernel_element_bytes);
  IterationPlan plan{.rank = rank_in(size, memory_bytes),
                     .working_bytes = memory_bytes - fixed_bytes(size)};
  const auto rank = static_cast<double>(plan.rank), outputs = static_cast<double>(size.num_outputs);
  const double groups = std::ceil(outputs / static_cast<double>(ConjugateGradients::kMostColumns));
  plan.pass_bytes = groups * n * n / 2 * element;
  plan.pass_flops = (2 * n + 4 * rank) * n * outputs;
  plan.kernel_read_bytes = n * n / 2 * element + rank * n * element;
  return plan;
}

std::string describe_iteration(const IterationPlan& plan, const SolveSize& size,
                               std::size_t memory_bytes, double tolerance) {
  const auto bytes = [](double value) { return format_bytes(static_cast<std::uint64_t>(value)); };
  const double factor = 8.0 * static_cast<double>(size.num_training * plan.rank);
  return fmt::format("kernel      {0}×{0}, {1} outputs\n", format_count(size.num_training),
                     size.num_outputs) +
         fmt::format("solver      conjugate gradients to a residual of {:g}\n", tolerance) +
         fmt::format("precond.    {} rows of the kernel, {}\n", plan.rank, bytes(factor)) +
         fmt::format("kernel file {} read, and {} for every iteration\n",
                     bytes(plan.kernel_read_bytes), bytes(plan.pass_bytes)) +
         fmt::format("memory      {} of {}\n", format_bytes(needed_bytes(size, memory_bytes)),
                     format_bytes(memory_bytes)) +
         fmt::format("work        {:.3g} GFLOP an iteration\n", plan.pass_flops * 1e-9);
}

}  // namespace gramtile::apps
