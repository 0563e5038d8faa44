// How a memory bound is divided between prepared blocks, live tiles and the threads' buffers.
#include <fmt/format.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "engine/backend/backend.hpp"
#include "engine/core/errors.hpp"
#include "engine/schedule/compute.hpp"

namespace gramtile {
namespace {

/// An edge of a panel of 8 × 8 tiles, and what three tiles in flight use beside it. More would
/// spare a preparation now and then, but fresh pages for them cost more than that.
constexpr Index kMostBlocks = 11;
/// A derivative costs several times what K does, so preparing one block anew for every tile is 2 %
/// of it. As many as 1,000 images have, so that the memory is the same from there on.
constexpr Index kMostBlocksOfDerivative = 4;

struct Sizes {
  std::size_t block = 0, tile = 0, thread = 0, pixels = 0;
};

Sizes sizes_for(const ComputeRequest& request, const ComputeOptions& options) {
  const Index edge = request.plan->tile_size;
  const BackendKind& backend = backend_of(options);
  const Footprint own = backend.footprint({.program = request.program,
                                           .data_type = options.data_type,
                                           .tile_size = edge,
                                           .content = request.content});
  const auto area = static_cast<std::size_t>(edge * edge);
  // K is counted where it is not asked for, too: tiles of a run then have one size, with it or not.
  const auto num_parameters = static_cast<Index>(request.program->parameters.size());
  const Index planes =
      request.content.num_planes(num_parameters) + (request.content.has(kKernelPlane) ? 0 : 1);
  Sizes sizes;
  sizes.block = own.block_bytes;
  sizes.tile =
      own.tile_bytes + area * size_in_bytes(options.data_type) * static_cast<std::size_t>(planes);
  // ∂L/∂K of the tile and of its mirror image.
  if (request.content.vector == kGradientVector) sizes.tile += 2 * area * sizeof(double);
  sizes.thread = own.thread_bytes;
  sizes.pixels =
      static_cast<std::size_t>(edge * request.program->input.num_values()) * sizeof(double);
  return sizes;
}

std::string in_mebibytes(std::size_t bytes) {
  return fmt::format("{} MiB", (bytes + (1 << 20) - 1) >> 20);
}

std::size_t total(const Sizes& sizes, Index threads, Index blocks, Index live) {
  return static_cast<std::size_t>(blocks) * sizes.block +
         static_cast<std::size_t>(live) * sizes.tile +
         static_cast<std::size_t>(threads) * sizes.thread + sizes.pixels;
}

/// Everything but K alone is taken for a derivative.
bool is_kernel_alone(const TileContent& content) {
  return content == content_of(true, Derivative::kNone);
}

/// Live tiles that keep `threads` threads busy.
Index enough_live_tiles(const TileContent& content, Index threads) {
  // Tiles are cut into many tasks; while one is short of them there is another.
  if (is_kernel_alone(content)) return std::max<Index>(3, threads + 1);
  // A tile of a gradient holds much more than one of K, so as few as will do, at 4 tasks a tile.
  // More did not raise the rate in a trial with tasks that sleep, on 2 to 16 threads.
  return std::max<Index>(2, 1 + (threads + 3) / 4);
}

/// Blocks that tiles use at the same time: two each, from being fetched to being computed. A thread
/// has one such tile at a time: it computes what it has fetched, and then runs the tasks of that
/// tile only.
Index blocks_in_use(Index live, Index threads) { return 2 * std::min(live, threads); }

}  // namespace

const BackendKind& backend_of(const ComputeOptions& options) {
  return options.backend != nullptr ? *options.backend : default_backend();
}

MemoryPlan plan_memory(const ComputeRequest& request, const ComputeOptions& options) {
  const Sizes sizes = sizes_for(request, options);
  const Index threads = options.num_threads > 0
                            ? options.num_threads
                            : std::max<Index>(1, std::thread::hardware_concurrency());
  MemoryPlan plan{.block_bytes = sizes.block, .tile_bytes = sizes.tile};
  const auto fits = [&](Index blocks, Index live) {
    return total(sizes, threads, blocks, live) <= options.memory_bytes;
  };
  if (!fits(2, 1)) {
    throw Error(
        ErrorKind::kUsage,
        fmt::format("{} of memory are too few for tiles of {} × {} on {} threads: at least {} are "
                    "needed; raise --memory or lower --tile",
                    in_mebibytes(options.memory_bytes), request.plan->tile_size,
                    request.plan->tile_size, threads, in_mebibytes(total(sizes, threads, 2, 1))));
  }
  // Up to three live tiles, then blocks, then as many tiles more as there is room for.
  const Index most_live = enough_live_tiles(request.content, threads);
  const Index most_blocks =
      is_kernel_alone(request.content) ? kMostBlocks : kMostBlocksOfDerivative;
  plan.num_live_tiles = 1;
  plan.num_blocks = 2;
  const auto add_tiles = [&](Index most) {
    while (plan.num_live_tiles < most) {
      const Index live = plan.num_live_tiles + 1;
      const Index blocks = std::max(plan.num_blocks, blocks_in_use(live, threads));
      if (!fits(blocks, live)) return;
      plan.num_live_tiles = live;
      plan.num_blocks = blocks;
    }
  };
  add_tiles(std::min<Index>(3, most_live));
  while (plan.num_blocks < most_blocks && fits(plan.num_blocks + 1, plan.num_live_tiles))
    ++plan.num_blocks;
  add_tiles(most_live);
  plan.total_bytes = total(sizes, threads, plan.num_blocks, plan.num_live_tiles);
  return plan;
}

Index default_tile_size(const Program& program, std::span<const MatrixSpec> matrices,
                        const ComputeOptions& options, const TileContent& content) {
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
    request.content = content;
    try {
      // K: some blocks more than three tiles use, or every tile would prepare its blocks anew.
      const Index enough = is_kernel_alone(content) ? 8 : kMostBlocksOfDerivative;
      if (plan_memory(request, options).num_blocks >= enough) break;
    } catch (const Error&) {
      // too large: try the next
    }
  }
  return size;
}

}  // namespace gramtile
