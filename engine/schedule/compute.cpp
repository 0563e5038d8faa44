// The tile pipeline: fetch blocks, compute tiles, deliver results.
#include "engine/schedule/compute.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/aligned_buffer.hpp"
#include "engine/core/errors.hpp"
#include "engine/schedule/block_cache.hpp"
#include "engine/schedule/executor.hpp"
#include "engine/schedule/tile_derivative.hpp"
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
  AlignedBuffer<T> kernel, jacobian;
  std::vector<double> upstream, mirrored_upstream, gradient;
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
        blocks_(program_, request.plan->tile_size, memory_.num_blocks, *executor_),
        workspaces_([this] { return LaneWorkspace<T>(program_, simd::kernels<T>().lanes); }),
        derivative_workspaces_([this] {
          return DerivativeWorkspace<T>(reverse_, request_.derivative == Derivative::kJacobian);
        }),
        bend_sums_([this] { return allocate_bend_sums<T>(program_, request_.plan->tile_size); }) {
    if (request.derivative != Derivative::kNone)
      reverse_ = reverse_lanes(program_, *request.program);
  }

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
    if (request_.derivative == Derivative::kGradient) read_upstream(*task);
    return task;
  }

  void read_upstream(TileTask<T>& task) const {
    const Tile& tile = task.tile;
    const std::size_t size = as_size(tile.rows.size() * tile.columns.size());
    task.upstream.resize(size);
    request_.upstream->read(tile.rows, tile.columns, task.upstream);
    if (matrix_of(tile).kind == MatrixKind::kSymmetric && !tile.on_diagonal()) {
      task.mirrored_upstream.resize(size);
      request_.upstream->read(tile.columns, tile.rows, task.mirrored_upstream);
    }
  }

  void compute(TileTask<T>& task) {
    const MatrixSpec& matrix = matrix_of(task.tile);
    const std::size_t size = as_size(task.tile.rows.size() * task.tile.columns.size());
    const bool gradient = request_.derivative == Derivative::kGradient;
    if (request_.with_kernel || !gradient) task.kernel = AlignedBuffer<T>(size);
    const std::span<T> kernel(task.kernel.data(), task.kernel.size());
    if (request_.derivative == Derivative::kJacobian) {
      task.jacobian = AlignedBuffer<T>(size * request_.program->parameters.size());
    }
    const std::span<T> jacobian(task.jacobian.data(), task.jacobian.size());
    if (matrix.kind == MatrixKind::kDiagonal) {
      for (std::size_t i = 0; i < kernel.size(); ++i)
        kernel[i] = static_cast<T>(task.rows->diagonal[i]);
      if (!jacobian.empty()) {
        compute_diagonal_jacobian<T>(*task.rows, reverse_, *executor_, derivative_workspaces_,
                                     jacobian);
      }
    } else {
      const bool triangle = matrix.kind == MatrixKind::kSymmetric && task.tile.on_diagonal();
      const TileOperands<T> operands{program_, *task.rows, *task.columns, triangle};
      if (gradient) {
        task.gradient.assign(request_.program->parameters.size(), 0.0);
        compute_tile_gradient<T>(operands, reverse_, {task.upstream, task.mirrored_upstream},
                                 *executor_, derivative_workspaces_, bend_sums_, kernel,
                                 task.gradient);
      } else if (!jacobian.empty()) {
        compute_tile_jacobian<T>(operands, reverse_, *executor_, derivative_workspaces_, kernel,
                                 jacobian);
      } else {
        compute_tile_kernel<T>(operands, *executor_, workspaces_, kernel);
      }
    }
    check_finite(task);
    // What waits for its turn to be delivered holds its result and nothing else. Not `= {}`, which
    // empties a vector and keeps its memory.
    task.rows.reset();
    task.columns.reset();
    task.upstream = std::vector<double>();
    task.mirrored_upstream = std::vector<double>();
  }

  void check_finite(const TileTask<T>& task) const {
    const MatrixSpec& matrix = matrix_of(task.tile);
    check_entries(task, {task.kernel.data(), task.kernel.size()}, matrix.name);
    const auto& parameters = request_.program->parameters;
    const std::size_t plane = task.jacobian.size() / std::max<std::size_t>(1, parameters.size());
    for (std::size_t p = 0; plane > 0 && p < parameters.size(); ++p) {
      check_entries(task, {task.jacobian.data() + p * plane, plane},
                    fmt::format("d{}/d{}", matrix.name, parameters[p].name));
    }
    for (std::size_t p = 0; p < task.gradient.size(); ++p) {
      if (!std::isfinite(task.gradient[p])) {
        throw Error(ErrorKind::kOther, fmt::format("the gradient by {} is not finite; {}",
                                                   parameters[p].name, overflow_advice()));
      }
    }
  }

  static std::string overflow_advice() {
    return sizeof(T) == 4 ? "float32 overflows; use --dtype float64, or scale the pixels or the "
                            "network's variances down"
                          : "float64 overflows; scale the pixels or the network's variances down";
  }

  void check_entries(const TileTask<T>& task, std::span<const T> entries,
                     const std::string& name) const {
    for (std::size_t i = 0; i < entries.size(); ++i) {
      if (std::isfinite(entries[i])) continue;
      const auto at = static_cast<Index>(i), width = task.tile.columns.size();
      throw Error(
          ErrorKind::kOther,
          fmt::format("{}[{}, {}] is not finite: {}", name, task.tile.rows.start + at / width,
                      task.tile.columns.start + at % width, overflow_advice()));
    }
  }

  void deliver(TileTask<T>& task) {
    TileResult result;
    result.tile = task.tile;
    result.data_type = sizeof(T) == 4 ? DataType::kFloat32 : DataType::kFloat64;
    if (request_.with_kernel) {
      result.kernel = std::as_bytes(std::span<const T>(task.kernel.data(), task.kernel.size()));
    }
    result.jacobian = std::as_bytes(std::span<const T>(task.jacobian.data(), task.jacobian.size()));
    result.gradient = task.gradient;
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
  ReverseProgram reverse_;
  WorkspacePool<DerivativeWorkspace<T>> derivative_workspaces_;
  WorkspacePool<BendSums<T>> bend_sums_;
  std::size_t next_ = 0;  ///< into request_.tiles; fetch only
};

}  // namespace

void compute_tiles(const ComputeRequest& request, const ComputeOptions& options, TileSink& sink,
                   std::stop_token stop, const std::function<void(const Tile&)>& on_delivered) {
  if (request.derivative == Derivative::kGradient && request.upstream == nullptr) {
    throw Error(ErrorKind::kUsage, "a gradient needs an upstream matrix");
  }
  if (options.data_type == DataType::kFloat32) {
    ComputeRun<float>(request, options, sink, std::move(stop), on_delivered).run();
  } else {
    ComputeRun<double>(request, options, sink, std::move(stop), on_delivered).run();
  }
}

}  // namespace gramtile
