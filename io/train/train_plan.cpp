#include "io/train/train_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "engine/core/errors.hpp"
#include "engine/solve/triangular.hpp"
#include "io/job/memory_budget.hpp"
#include "io/job/quantities.hpp"
#include "io/solve/work_file.hpp"
#include "io/train/disk_room.hpp"

namespace gramtile {
namespace {

constexpr std::size_t kMebi = std::size_t{1} << 20;

int threads_of(const TrainRequest& request) {
  return request.num_threads > 0
             ? request.num_threads
             : static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

/// Beside what the passes and the solver are given: a tile and OpenBLAS's packed ones for every
/// thread, the targets and what is as large, a batch's images.
std::size_t held_bytes(const TrainRequest& request, const Program& program, Index size,
                       Index num_outputs) {
  const auto tile = static_cast<std::size_t>(kFactorEdge * kFactorEdge) * 8;
  const auto vectors = static_cast<std::size_t>(size * (8 * num_outputs + 16)) * 8;
  const Index batch = request.options.batch != 0 ? size : Index{0};
  const auto images = static_cast<std::size_t>(batch * program.input.num_values()) * 8;
  return static_cast<std::size_t>(threads_of(request)) * (2 * tile + 8 * kMebi) + vectors + images;
}

/// The least for panels and right-hand sides: one block column with a tile, 128 columns, or what
/// leave-one-out squares the inverse with.
std::size_t least_working_bytes(Index size) {
  const FactorGrid grid{size, std::min(kFactorEdge, size)};
  const auto sides = static_cast<std::size_t>(size * kRightColumns) * 8;
  return std::max({WorkFile::panel_bytes(grid, {0, 1}), sides, weighted_square_bytes(size)});
}

/// K, two matrices of the inverse, and the factor.
double bytes_in_memory(Index size) {
  const auto n = static_cast<double>(size);
  return 8 * n * n * 3 + static_cast<double>(WorkFile::num_bytes({size, kFactorEdge}));
}

}  // namespace

TrainPlan plan_training(const TrainRequest& request, const Program& program, Index num_images,
                        Index num_outputs) {
  TrainPlan plan;
  plan.size = request.options.batch != 0 ? request.options.batch : num_images;
  const std::size_t held = held_bytes(request, program, plan.size, num_outputs);
  const std::size_t least = least_working_bytes(plan.size);
  const std::size_t engine = share_memory(request.memory_bytes).engine_bytes;
  const auto fits = [&](std::size_t engine_bytes) {
    return engine_bytes >= held + least + 16 * kMebi;
  };
  if (!fits(engine)) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("--memory {} is too little for steps of {} images; at least {} are needed, "
                    "or a smaller --batch",
                    format_bytes(request.memory_bytes), format_count(plan.size),
                    format_bytes(least_memory(fits))));
  }
  const std::size_t free = engine - held;
  const double in_memory = bytes_in_memory(plan.size);
  plan.in_memory =
      in_memory + static_cast<double>(std::max(least, 32 * kMebi)) < static_cast<double>(free);
  plan.matrix_bytes = plan.in_memory ? in_memory : disk_room_bytes(plan.size, kFactorEdge);
  const std::size_t rest = plan.in_memory ? free - static_cast<std::size_t>(in_memory) : free;
  plan.engine_bytes = rest;
  // The passes over K and the solver take turns; a panel is held beside the solver's right-hand
  // sides.
  plan.working_bytes = std::max(least, rest / 2);
  return plan;
}

std::string describe_plan(const TrainPlan& plan, const TrainRequest& request, Index num_images) {
  const TrainingOptions& o = request.options;
  std::string text =
      fmt::format("objective    {}: {}\n", o.objective->name(), o.objective->summary()) +
      fmt::format("steps        {} of {}, {} images each of {}\n", o.num_steps,
                  name_of(o.optimiser), format_count(plan.size), format_count(num_images));
  if (o.sub_batch != 0) text += fmt::format("sub-batch    {}\n", format_count(o.sub_batch));
  const auto pairs = static_cast<double>(plan.size) * static_cast<double>(plan.size + 1) / 2;
  text += fmt::format("pairs        {} for K, as many for its gradient, in every evaluation\n",
                      format_count(static_cast<Index>(pairs)));
  text += fmt::format("matrices     {}, {}\n",
                      format_bytes(static_cast<std::uint64_t>(plan.matrix_bytes)),
                      plan.in_memory ? "in memory" : "on disk");
  return text;
}

}  // namespace gramtile
