// One run of the engine: which matrices, which tiles of them, what of each tile. Blocks are fetched
// and prepared serially, tiles are computed in parallel, results are delivered serially in the
// order of the plan:
//
//   BlockSource → pixels → BackendBlock → TileTask → TileJob → TileResult → TileSink
//                            (Backend)               (Backend)
//
// How a block is prepared and a tile computed is the backend's affair (engine/backend/backend.hpp).
// Memory is bounded by ComputeOptions::memory_bytes, whatever the number of examples.
#pragma once

#include <cstddef>
#include <functional>
#include <span>
#include <stop_token>
#include <vector>

#include "engine/core/index.hpp"
#include "engine/core/ports.hpp"
#include "engine/core/tile.hpp"
#include "engine/core/tile_content.hpp"
#include "engine/network/program.hpp"

namespace gramtile {

class BackendKind;

struct ComputeOptions {
  DataType data_type = DataType::kFloat32;
  int num_threads = 0;  ///< 0: every hardware thread
  /// Upper bound for what the engine allocates: prepared blocks, live tiles, threads' buffers
  /// [bytes].
  std::size_t memory_bytes = std::size_t{2} << 30;
  const BackendKind* backend = nullptr;  ///< who computes; nullptr: default_backend()
  /// When requested, the run is given up within a few hundredths of a second: what computes throws
  /// Error(kInterrupted), and tiles in hand are lost. (compute_tiles' `stop` finishes them.)
  std::stop_token abandon = {};
};

/// Who computes with these options.
const BackendKind& backend_of(const ComputeOptions& options);

/// Where the images of one matrix come from.
struct MatrixSources {
  BlockSource* rows = nullptr;
  BlockSource* columns = nullptr;  ///< nullptr for symmetric and diagonal matrices
};

struct ComputeRequest {
  const Program* program = nullptr;
  const TilePlan* plan = nullptr;
  std::vector<MatrixSources> sources;  ///< by matrix of the plan
  std::vector<Index> tiles;  ///< indices into plan->tiles, increasing: what is still to do
  TileContent content = content_of(true, Derivative::kNone);  ///< what of each
  MatrixSource* upstream = nullptr;  ///< ∂L/∂K, where the content has a gradient
};

/// Computes the tiles and delivers each to `sink`, in order. When `stop` is requested, the tiles in
/// hand are finished and delivered and the call returns early. `on_delivered` is called after each
/// delivery, from the delivering thread.
/// Throws what the ports and the backend throw; Error(kUsage) when nothing is asked for, or a
/// gradient without an upstream of the matrices' shape; Error(kOther) naming the matrix and entry
/// when a kernel entry is not finite (float overflow); Error(kUsage) when memory_bytes is too small
/// for a single tile, naming the least that would do.
void compute_tiles(const ComputeRequest& request, const ComputeOptions& options, TileSink& sink,
                   std::stop_token stop = {},
                   const std::function<void(const Tile&)>& on_delivered = {});

/// What a run will hold in memory at most [bytes].
struct MemoryPlan {
  std::size_t block_bytes = 0;  ///< one prepared block (images and variance stacks)
  std::size_t tile_bytes = 0;   ///< one live tile: its results and what it is computed from
  Index num_blocks = 0;         ///< in memory: used by live tiles, or kept for the next ones
  Index num_live_tiles = 0;
  std::size_t total_bytes = 0;
};

/// The plan that compute_tiles would follow. Throws like it when memory_bytes is too small.
MemoryPlan plan_memory(const ComputeRequest& request, const ComputeOptions& options);

/// A tile size that suits the program, the memory bound and the matrices (a multiple of 16, at most
/// 256; smaller for small N, so that every thread has work).
Index default_tile_size(const Program& program, std::span<const MatrixSpec> matrices,
                        const ComputeOptions& options, const TileContent& content);

}  // namespace gramtile
