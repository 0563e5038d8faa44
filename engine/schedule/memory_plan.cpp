// How a memory bound is divided between prepared blocks, live tiles and the threads' buffers.
#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "engine/core/errors.hpp"
#include "engine/lanes/lane_program.hpp"
#include "engine/lanes/prepared_block.hpp"
#include "engine/schedule/compute.hpp"
#include "engine/schedule/tile_derivative.hpp"
#include "engine/simd/kernels.hpp"

namespace gramtile {
namespace {

constexpr Index kMostCachedBlocks = 17;  // two edges of a panel of 8 × 8 tiles, and one to come
/// A derivative costs several times what K does, so preparing one block anew for every tile is 2 %
/// of it; few blocks keep its memory the same from 1,000 images on.
constexpr Index kMostCachedBlocksOfDerivative = 4;

struct Sizes {
  std::size_t block = 0, tile = 0, workspace = 0, pixels = 0;
};

template <class T>
Sizes sizes_for(const ComputeRequest& request) {
  const bool tape = request.derivative != Derivative::kNone;
  const bool jacobian = request.derivative == Derivative::kJacobian;
  const LaneProgram program = compile_lanes(*request.program, tape);
  const Index edge = request.plan->tile_size;
  const auto area = static_cast<std::size_t>(edge * edge);
  Sizes sizes;
  sizes.block = PreparedBlock<T>::bytes(program, edge);
  sizes.tile = area * sizeof(T);
  if (jacobian) sizes.tile += area * sizeof(T) * request.program->parameters.size();
  if (tape && !jacobian)
    sizes.tile += gradient_tile_bytes(program, edge,
                                      sizeof(T) == 4 ? DataType::kFloat32 : DataType::kFloat64);
  sizes.workspace = LaneWorkspace<double>::bytes(program, simd::variance_kernels().lanes);
  if (tape) {
    sizes.workspace +=
        DerivativeWorkspace<T>::bytes(reverse_lanes(program, *request.program), jacobian);
  } else {
    sizes.workspace += LaneWorkspace<T>::bytes(program, simd::kernels<T>().lanes);
  }
  sizes.pixels = static_cast<std::size_t>(edge * program.input.num_values()) * sizeof(double);
  return sizes;
}

std::string in_mebibytes(std::size_t bytes) {
  return fmt::format("{} MiB", (bytes + (1 << 20) - 1) >> 20);
}

std::size_t total(const Sizes& sizes, Index threads, Index cached, Index live) {
  // A tile in flight may hold the last reference to two blocks that the cache has dropped.
  return static_cast<std::size_t>(cached + 2 * live) * sizes.block +
         static_cast<std::size_t>(live) * sizes.tile +
         static_cast<std::size_t>(threads) * sizes.workspace + sizes.pixels;
}

}  // namespace

MemoryPlan plan_memory(const ComputeRequest& request, const ComputeOptions& options) {
  const Sizes sizes = options.data_type == DataType::kFloat32 ? sizes_for<float>(request)
                                                              : sizes_for<double>(request);
  const Index threads = options.num_threads > 0
                            ? options.num_threads
                            : std::max<Index>(1, std::thread::hardware_concurrency());
  MemoryPlan plan{.block_bytes = sizes.block, .tile_bytes = sizes.tile};
  const auto fits = [&](Index cached, Index live) {
    return total(sizes, threads, cached, live) <= options.memory_bytes;
  };
  if (!fits(2, 1)) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("{} of memory are too few for tiles of {} × {} on {} threads: at least {} are "
                    "needed; raise --memory or lower --tile",
                    in_mebibytes(options.memory_bytes), request.plan->tile_size,
                    request.plan->tile_size, threads, in_mebibytes(total(sizes, threads, 2, 1))));
  }
  // Three live tiles keep every thread busy, since tiles are shared; more only if there is room.
  plan.num_live_tiles = 1;
  while (plan.num_live_tiles < 3 && fits(2, plan.num_live_tiles + 1)) ++plan.num_live_tiles;
  plan.num_cached_blocks = 2;
  const Index most_cached =
      request.derivative == Derivative::kNone ? kMostCachedBlocks : kMostCachedBlocksOfDerivative;
  while (plan.num_cached_blocks < most_cached &&
         fits(plan.num_cached_blocks + 1, plan.num_live_tiles)) {
    ++plan.num_cached_blocks;
  }
  while (plan.num_live_tiles < threads + 1 &&
         fits(plan.num_cached_blocks, plan.num_live_tiles + 1)) {
    ++plan.num_live_tiles;
  }
  plan.total_bytes = total(sizes, threads, plan.num_cached_blocks, plan.num_live_tiles);
  return plan;
}

Index default_tile_size(const Program& program, std::span<const MatrixSpec> matrices,
                        const ComputeOptions& options, Derivative derivative) {
  constexpr Index kLargest = 256, kSmallest = 16;
  Index extent = 1;
  for (const MatrixSpec& matrix : matrices) {
    extent = std::max({extent, matrix.num_rows, matrix.num_columns});
  }
  Index size = kLargest;
  while (size > kSmallest && size / 2 >= extent) size /= 2;
  for (; size > kSmallest; size /= 2) {
    const TilePlan plan{.tile_size = size, .matrices = {}, .tiles = {}};
    ComputeRequest request;
    request.program = &program;
    request.plan = &plan;
    request.derivative = derivative;
    try {
      // Room for some cached blocks, or every tile would prepare its blocks anew.
      const Index enough = derivative == Derivative::kNone ? 8 : kMostCachedBlocksOfDerivative;
      if (plan_memory(request, options).num_cached_blocks >= enough) break;
    } catch (const Error&) {
      // too large: try the next
    }
  }
  return size;
}

std::string_view instruction_set() { return simd::target_name(); }

std::vector<std::string_view> supported_instruction_sets() { return simd::target_names(); }

}  // namespace gramtile
