// The tile pipeline: fetch blocks, compute tiles, deliver results.
#include "engine/schedule/compute.hpp"

#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <utility>

#include "engine/core/aligned_buffer.hpp"
#include "engine/core/errors.hpp"
#include "engine/schedule/block_cache.hpp"
#include "engine/schedule/executor.hpp"
#include "engine/schedule/tile_kernel.hpp"
#include "engine/simd/kernels.hpp"

namespace gramtile {
namespace {

std::size_t as_size(Index n) { return static_cast<std::size_t>(n); }

/// One tile on its way through the pipeline.
template <class T>
struct TileTask : PipelineItem {
  Tile tile;
  std::shared_ptr<const PreparedBlock<T>> rows, columns;
  AlignedBuffer<T> kernel;
};

template <class T>
class ComputeRun {
 public:
  ComputeRun(const ComputeRequest& request, const ComputeOptions& options, TileSink& sink,
             std::stop_token stop, const std::function<void(const Tile&)>& on_delivered)
      : request_(request),
        sink_(sink),
        stop_(std::move(stop)),
        on_delivered_(on_delivered),
        memory_(plan_memory(request, options)),
        program_(compile_lanes(*request.program, request.derivative != Derivative::kNone)),
        executor_(make_executor(options.num_threads)),
        blocks_(program_, request.plan->tile_size, memory_.num_cached_blocks, *executor_),
        workspaces_([this] { return LaneWorkspace<T>(program_, simd::kernels<T>().lanes); }) {}

  void run() {
    executor_->run(
        {.fetch = [this] { return fetch(); },
         .compute = [this](PipelineItem& item) { compute(static_cast<TileTask<T>&>(item)); },
         .deliver = [this](PipelineItem& item) { deliver(static_cast<TileTask<T>&>(item)); }},
        memory_.num_live_tiles);
  }

 private:
  const MatrixSpec& matrix_of(const Tile& tile) const {
    return request_.plan->matrices[as_size(tile.matrix)];
  }

  std::unique_ptr<PipelineItem> fetch() {
    if (next_ == request_.tiles.size() || stop_.stop_requested()) return nullptr;
    auto task = std::make_unique<TileTask<T>>();
    task->tile = request_.plan->tiles[as_size(request_.tiles[next_++])];
    const MatrixSources& sources = request_.sources[as_size(task->tile.matrix)];
    task->rows = blocks_.get(*sources.rows, task->tile.rows);
    if (matrix_of(task->tile).kind != MatrixKind::kDiagonal) {
      BlockSource& columns = sources.columns != nullptr ? *sources.columns : *sources.rows;
      task->columns = blocks_.get(columns, task->tile.columns);
    }
    return task;
  }

  void compute(TileTask<T>& task) {
    const MatrixSpec& matrix = matrix_of(task.tile);
    task.kernel = AlignedBuffer<T>(as_size(task.tile.rows.size() * task.tile.columns.size()));
    const std::span<T> kernel(task.kernel.data(), task.kernel.size());
    if (matrix.kind == MatrixKind::kDiagonal) {
      for (std::size_t i = 0; i < kernel.size(); ++i)
        kernel[i] = static_cast<T>(task.rows->diagonal[i]);
    } else {
      const bool triangle = matrix.kind == MatrixKind::kSymmetric && task.tile.on_diagonal();
      compute_tile_kernel<T>({program_, *task.rows, *task.columns, triangle}, *executor_,
                             workspaces_, kernel);
    }
    check_finite(task);
  }

  void check_finite(const TileTask<T>& task) const {
    for (std::size_t i = 0; i < task.kernel.size(); ++i) {
      if (std::isfinite(task.kernel[i])) continue;
      const auto at = static_cast<Index>(i), width = task.tile.columns.size();
      throw Error(
          ErrorKind::kOther,
          fmt::format("{}[{}, {}] is not finite: {} overflows; use --dtype float64, or scale the "
                      "pixels or the network's variances down",
                      matrix_of(task.tile).name, task.tile.rows.start + at / width,
                      task.tile.columns.start + at % width,
                      sizeof(T) == 4 ? "float32" : "float64"));
    }
  }

  void deliver(TileTask<T>& task) {
    TileResult result;
    result.tile = task.tile;
    result.data_type = sizeof(T) == 4 ? DataType::kFloat32 : DataType::kFloat64;
    if (request_.with_kernel) {
      result.kernel = std::as_bytes(std::span<const T>(task.kernel.data(), task.kernel.size()));
    }
    sink_.write(result);
    if (on_delivered_) on_delivered_(task.tile);
  }

  const ComputeRequest& request_;
  TileSink& sink_;
  std::stop_token stop_;
  const std::function<void(const Tile&)>& on_delivered_;
  MemoryPlan memory_;
  LaneProgram program_;
  std::unique_ptr<Executor> executor_;
  BlockCache<T> blocks_;
  WorkspacePool<LaneWorkspace<T>> workspaces_;
  std::size_t next_ = 0;  ///< into request_.tiles; fetch only
};

}  // namespace

void compute_tiles(const ComputeRequest& request, const ComputeOptions& options, TileSink& sink,
                   std::stop_token stop, const std::function<void(const Tile&)>& on_delivered) {
  if (options.data_type == DataType::kFloat32) {
    ComputeRun<float>(request, options, sink, std::move(stop), on_delivered).run();
  } else {
    ComputeRun<double>(request, options, sink, std::move(stop), on_delivered).run();
  }
}

}  // namespace gramtile
