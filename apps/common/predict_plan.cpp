#include "apps/common/predict_plan.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "apps/common/units.hpp"
#include "engine/core/errors.hpp"
#include "engine/solve/kernel_solver.hpp"
#include "engine/solve/solve_options.hpp"
#include "engine/solve/triangular.hpp"
#include "io/solve/work_file.hpp"

namespace gramtile::apps {
namespace {

constexpr std::size_t kMebi = std::size_t{1} << 20;

/// Libraries, HDF5, the program (measured 2026-11-26: 42 MiB), and per thread a tile and what
/// OpenBLAS packs (8 MiB a thread touched).
std::size_t process_bytes(const FactorGrid& grid, int num_threads) {
  const auto tile = static_cast<std::size_t>(grid.edge * grid.edge) * 8;
  return 48 * kMebi + static_cast<std::size_t>(num_threads) * (2 * tile + 8 * kMebi);
}

/// Targets, coefficients, means of leave-one-out and a copy of one of them; a few vectors [N].
std::size_t vector_bytes(const SolveSize& size) {
  return static_cast<std::size_t>(size.num_training * (5 * size.num_outputs + 8)) * 8;
}

/// The least that works: one block column with the tile that it meets, or 128 right-hand sides.
std::size_t least_working_bytes(const FactorGrid& grid) {
  const auto sides = static_cast<std::size_t>(grid.size * kRightColumns) * 8;
  const auto block = static_cast<std::size_t>(grid.size * std::min(grid.edge, grid.size)) * 8;
  return std::max({WorkFile::panel_bytes(grid, {0, 1}), sides, block});
}

double bytes_of_sweeps(const SolvePlan& plan, const SolveSize& size) {
  const double factor = 8.0 * static_cast<double>(plan.grid.num_entries());
  const Index n = size.num_training;
  const auto groups = [&](Index columns) {
    const Index at_once = columns_in(plan.working_bytes, n, std::max<Index>(columns, 1));
    return static_cast<double>((columns + at_once - 1) / at_once);
  };
  // Coefficients 2; the condition 6 solves as a rule, 12 at most; of a group of columns of the
  // inverse a third, since they begin ever lower.
  return factor * (2 + 12 + groups(size.num_variances) + std::max(1.0, groups(n) / 3));
}

void count_panels(SolvePlan& plan) {
  for (Index first = 0; first < plan.grid.num_blocks(); ++plan.num_panels) {
    const Range panel = WorkFile::panel_from(plan.grid, first, plan.working_bytes);
    const double rows = static_cast<double>(plan.grid.size - plan.grid.block(first).start);
    plan.work_read_bytes += 8 * rows * static_cast<double>(plan.grid.block(first).start);
    first = panel.stop;
  }
}

}  // namespace

std::size_t fixed_bytes(const SolveSize& size) {
  return process_bytes({size.num_training, kFactorEdge}, size.num_threads) + vector_bytes(size);
}

void refuse_memory(const SolveSize& size, std::size_t memory_bytes, std::size_t least) {
  throw Error(ErrorKind::kUsage,
              fmt::format("--memory {} is too little for {} training images; at least {} are "
                          "needed (--memory {}MiB)",
                          format_bytes(memory_bytes), format_count(size.num_training),
                          format_bytes(least), (least + kMebi - 1) / kMebi));
}

SolvePlan plan_solve(const SolveSize& size, std::size_t memory_bytes, bool on_disk) {
  SolvePlan plan;
  plan.grid = {size.num_training, kFactorEdge};
  const std::size_t fixed = fixed_bytes(size);
  const std::size_t least = fixed + least_working_bytes(plan.grid);
  if (memory_bytes < least) refuse_memory(size, memory_bytes, least);
  const auto n = static_cast<double>(size.num_training);
  const double triangle = MemoryStore::num_bytes(plan.grid);
  plan.in_memory =
      !on_disk && static_cast<double>(least) + triangle <= static_cast<double>(memory_bytes);
  plan.working_bytes =
      memory_bytes - fixed - (plan.in_memory ? static_cast<std::size_t>(triangle) : 0);
  constexpr double kConditionSolves = 6;
  plan.flops = factorisation_flops(plan.grid) + KernelSolver::inverse_diagonal_flops(plan.grid) +
               n * n * static_cast<double>(size.num_variances) +
               2 * n * n * (static_cast<double>(size.num_outputs) + kConditionSolves);
  // Hashes with the facts of the kernel, and the panels: the upper half each time.
  plan.kernel_read_bytes = n * n * static_cast<double>(size.kernel_element_bytes);
  if (plan.in_memory) return plan;
  plan.work_bytes = triangle;
  count_panels(plan);
  plan.work_read_bytes += bytes_of_sweeps(plan, size);
  return plan;
}

std::string describe_plan(const SolvePlan& plan, const SolveSize& size, std::size_t memory_bytes) {
  const auto bytes = [](double value) { return format_bytes(static_cast<std::uint64_t>(value)); };
  std::string text =
      fmt::format("kernel      {0}×{0}, {1} outputs\n", format_count(size.num_training),
                  size.num_outputs) +
      fmt::format("factor      {}, in tiles of {}, {}\n", bytes(MemoryStore::num_bytes(plan.grid)),
                  plan.grid.edge, plan.in_memory ? "in memory" : "on disk");
  if (!plan.in_memory)
    text += fmt::format("work file   {} written once, {} read; {} panels\n", bytes(plan.work_bytes),
                        bytes(plan.work_read_bytes), plan.num_panels);
  return text + fmt::format("kernel file {} read\n", bytes(plan.kernel_read_bytes)) +
         fmt::format("memory      {} of {} for panels and right-hand sides\n",
                     format_bytes(plan.working_bytes), format_bytes(memory_bytes)) +
         fmt::format("work        {:.3g} GFLOP\n", plan.flops * 1e-9);
}

}  // namespace gramtile::apps
