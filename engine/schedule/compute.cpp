// The tile pipeline: fetch blocks, compute tiles, deliver results.
#include "engine/schedule/compute.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/backend/backend.hpp"
#include "engine/core/aligned_buffer.hpp"
#include "engine/core/errors.hpp"
#include "engine/parallel/executor.hpp"
#include "engine/schedule/block_cache.hpp"

namespace gramtile {
namespace {

/// One tile on its way through the pipeline. Results are of the run's data type.
struct TileTask : PipelineItem {
  Tile tile;
  std::shared_ptr<const BackendBlock> rows, columns;
  std::vector<AlignedBuffer<std::byte>> planes;  ///< by group of the content
  std::vector<double> upstream, mirrored_upstream, vector;
};

/// Position of the first entry that is not finite, or their number.
template <class T>
std::size_t first_not_finite(const AlignedBuffer<std::byte>& bytes) {
  const std::span entries(reinterpret_cast<const T*>(bytes.data()), bytes.size() / sizeof(T));
  const auto bad = std::ranges::find_if(entries, [](T entry) { return !std::isfinite(entry); });
  return static_cast<std::size_t>(bad - entries.begin());
}

class ComputeRun {
 public:
  ComputeRun(const ComputeRequest& request, const ComputeOptions& options, TileSink& sink,
             std::stop_token stop, const std::function<void(const Tile&)>& on_delivered)
      : request_(request),
        data_type_(options.data_type),
        sink_(sink),
        stop_(std::move(stop)),
        on_delivered_(on_delivered),
        memory_(plan_memory(request, options)),
        executor_(make_executor(options.num_threads)),
        backend_(backend_of(options).make({.program = request.program,
                                           .data_type = options.data_type,
                                           .tile_size = request.plan->tile_size,
                                           .content = request.content},
                                          *executor_)),
        blocks_(*backend_, request.program->input, memory_.num_blocks) {
    executor_->abandon_on(options.abandon);
  }

  void run() {
    executor_->run(
        {.fetch = [this] { return fetch(); },
         .compute = [this](PipelineItem& item) { compute(static_cast<TileTask&>(item)); },
         .deliver = [this](PipelineItem& item) { deliver(static_cast<TileTask&>(item)); }},
        memory_.num_live_tiles);
  }

 private:
  const MatrixSpec& matrix_of(const Tile& tile) const {
    return request_.plan->matrices[as_size(tile.matrix)];
  }

  std::unique_ptr<PipelineItem> fetch() {
    if (next_ == request_.tiles.size() || stop_.stop_requested()) return nullptr;
    auto task = std::make_unique<TileTask>();
    task->tile = request_.plan->tiles[as_size(request_.tiles[next_++])];
    const MatrixSources& sources = request_.sources[as_size(task->tile.matrix)];
    task->rows = blocks_.get(*sources.rows, task->tile.rows);
    if (matrix_of(task->tile).kind != MatrixKind::kDiagonal) {
      BlockSource& columns = sources.columns != nullptr ? *sources.columns : *sources.rows;
      task->columns = blocks_.get(columns, task->tile.columns);
    }
    if (request_.content.vector == kGradientVector) read_upstream(*task);
    return task;
  }

  void read_upstream(TileTask& task) const {
    const Tile& tile = task.tile;
    const std::size_t size = as_size(tile.rows.size() * tile.columns.size());
    task.upstream.resize(size);
    request_.upstream->read(tile.rows, tile.columns, task.upstream);
    if (matrix_of(tile).kind == MatrixKind::kSymmetric && !tile.on_diagonal()) {
      task.mirrored_upstream.resize(size);
      request_.upstream->read(tile.columns, tile.rows, task.mirrored_upstream);
    }
  }

  void compute(TileTask& task) {
    const MatrixSpec& matrix = matrix_of(task.tile);
    const std::size_t plane_bytes =
        as_size(task.tile.rows.size() * task.tile.columns.size()) * size_in_bytes(data_type_);
    const TileContent& content = request_.content;
    std::vector<PlaneRoom> rooms;
    for (const PlaneGroup& group : content.planes) {
      task.planes.emplace_back(plane_bytes * as_size(group.num_planes(num_parameters())));
      rooms.push_back({group.name, {task.planes.back().data(), task.planes.back().size()}});
    }
    if (!content.vector.empty()) task.vector.assign(as_size(num_parameters()), 0.0);
    backend_->compute({.rows = task.rows.get(),
                       .columns = task.columns.get(),
                       .triangle = matrix.kind == MatrixKind::kSymmetric && task.tile.on_diagonal(),
                       .upstream = task.upstream,
                       .mirrored_upstream = task.mirrored_upstream,
                       .planes = rooms,
                       .vector = task.vector});
    check_finite(task);
    // What waits for its turn to be delivered holds its result and nothing else. Not `= {}`, which
    // empties a vector and keeps its memory.
    task.rows.reset();
    task.columns.reset();
    task.upstream = std::vector<double>();
    task.mirrored_upstream = std::vector<double>();
  }

  Index num_parameters() const { return static_cast<Index>(request_.program->parameters.size()); }

  void check_finite(const TileTask& task) const {
    const MatrixSpec& matrix = matrix_of(task.tile);
    const auto& parameters = request_.program->parameters;
    const Index width = task.tile.columns.size(), area = task.tile.rows.size() * width;
    for (std::size_t g = 0; g < task.planes.size(); ++g) {
      const auto at = find_not_finite(task.planes[g]);
      if (!at) continue;
      const PlaneGroup& group = request_.content.planes[g];
      std::string name = group.prefix + matrix.name;
      if (group.per_parameter) name += "/d" + parameters[*at / as_size(area)].name;
      const Index entry = static_cast<Index>(*at) % area;
      throw Error(
          ErrorKind::kOther,
          fmt::format("{}[{}, {}] is not finite: {}", name, task.tile.rows.start + entry / width,
                      task.tile.columns.start + entry % width, overflow_advice()));
    }
    for (std::size_t p = 0; p < task.vector.size(); ++p) {
      if (!std::isfinite(task.vector[p])) {
        throw Error(ErrorKind::kOther,
                    fmt::format("the {} by {} is not finite; {}", request_.content.vector,
                                parameters[p].name, overflow_advice()));
      }
    }
  }

  std::optional<std::size_t> find_not_finite(const AlignedBuffer<std::byte>& entries) const {
    const std::size_t at = data_type_ == DataType::kFloat32 ? first_not_finite<float>(entries)
                                                            : first_not_finite<double>(entries);
    if (at * size_in_bytes(data_type_) >= entries.size()) return std::nullopt;
    return at;
  }

  std::string overflow_advice() const {
    return data_type_ == DataType::kFloat32
               ? "float32 overflows; use --dtype float64, or scale the pixels or the "
                 "network's variances down"
               : "float64 overflows; scale the pixels or the network's variances down";
  }

  void deliver(TileTask& task) {
    TileResult result;
    result.tile = task.tile;
    result.data_type = data_type_;
    std::vector<TilePlane> planes;
    for (std::size_t g = 0; g < task.planes.size(); ++g)
      planes.push_back(
          {request_.content.planes[g].name, {task.planes[g].data(), task.planes[g].size()}});
    result.planes = planes;
    result.vector = task.vector;
    sink_.write(result);
    if (on_delivered_) on_delivered_(task.tile);
  }

  const ComputeRequest& request_;
  const DataType data_type_;
  TileSink& sink_;
  std::stop_token stop_;
  const std::function<void(const Tile&)>& on_delivered_;
  MemoryPlan memory_;
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<Backend> backend_;
  BlockCache blocks_;
  std::size_t next_ = 0;  ///< into request_.tiles; fetch only
};

void check_upstream(const ComputeRequest& request) {
  const MatrixSource& upstream = *request.upstream;
  for (const MatrixSpec& matrix : request.plan->matrices) {
    if (upstream.num_rows() == matrix.num_rows && upstream.num_columns() == matrix.num_columns)
      continue;
    throw Error(ErrorKind::kUsage, fmt::format("the upstream has shape [{}, {}], {} has [{}, {}]",
                                               upstream.num_rows(), upstream.num_columns(),
                                               matrix.name, matrix.num_rows, matrix.num_columns));
  }
}

}  // namespace

void compute_tiles(const ComputeRequest& request, const ComputeOptions& options, TileSink& sink,
                   std::stop_token stop, const std::function<void(const Tile&)>& on_delivered) {
  const TileContent& content = request.content;
  if (content.planes.empty() && content.vector.empty())
    throw Error(ErrorKind::kUsage, "nothing of a tile is asked for");
  if (content.vector == kGradientVector && request.upstream == nullptr) {
    throw Error(ErrorKind::kUsage, "a gradient needs an upstream matrix");
  }
  if (content.vector == kGradientVector) check_upstream(request);
  ComputeRun(request, options, sink, std::move(stop), on_delivered).run();
}

}  // namespace gramtile
