#include "engine/schedule/compute_arrays.hpp"

#include <numeric>
#include <utility>

#include "engine/core/errors.hpp"
#include "engine/core/strided.hpp"

namespace gramtile {
namespace {

Index choose_tile_size(const Program& program, const MatrixSpec& matrix,
                       const ComputeOptions& options, const TileContent& content) {
  ComputeOptions usual = options;
  usual.num_threads = kUsualThreads;
  usual.memory_bytes = kUsualMemoryBytes;
  const Index size = default_tile_size(program, {&matrix, 1}, usual, content);
  const TilePlan plan{.tile_size = size, .matrices = {}, .tiles = {}};
  ComputeRequest request;
  request.program = &program;
  request.plan = &plan;
  request.content = content;
  try {
    plan_memory(request, options);
    return size;
  } catch (const Error&) {  // too little for such tiles
    usual.memory_bytes = options.memory_bytes;
    return default_tile_size(program, {&matrix, 1}, usual, content);
  }
}

/// Writes tiles into arrays; of a symmetric matrix both triangles.
class ArraySink : public TileSink {
 public:
  ArraySink(const ArrayTargets& targets, bool symmetric)
      : targets_(targets), symmetric_(symmetric) {}

  void write(const TileResult& tile) override {
    place(tile, tile.plane(kKernelPlane).data(), targets_.kernel);
    const auto plane_bytes = static_cast<std::size_t>(tile.tile.rows.size()) *
                             static_cast<std::size_t>(tile.tile.columns.size()) *
                             size_in_bytes(tile.data_type);
    for (Index plane = 0; plane < targets_.jacobian.num_planes; ++plane) {
      MatrixSpan to = targets_.jacobian.first;
      to.data = static_cast<std::byte*>(to.data) + plane * targets_.jacobian.plane_stride;
      place(tile, tile.plane(kJacobianPlane).data() + static_cast<std::size_t>(plane) * plane_bytes,
            to);
    }
    for (std::size_t p = 0; p < tile.vector.size(); ++p) targets_.gradient[p] += tile.vector[p];
  }

 private:
  void place(const TileResult& tile, const std::byte* entries, const MatrixSpan& to) const {
    if (to.data == nullptr) return;
    if (tile.data_type == DataType::kFloat32) {
      to.type == DataType::kFloat32 ? place_as<float, float>(tile.tile, entries, to)
                                    : place_as<float, double>(tile.tile, entries, to);
    } else {
      to.type == DataType::kFloat32 ? place_as<double, float>(tile.tile, entries, to)
                                    : place_as<double, double>(tile.tile, entries, to);
    }
  }

  /// `entries` [rows, columns] of the tile, of type From, into the matrix `to` of type To.
  template <class From, class To>
  void place_as(const Tile& tile, const std::byte* entries, const MatrixSpan& to) const {
    auto* const first = static_cast<std::byte*>(to.data);
    for (Index row = tile.rows.start; row < tile.rows.stop; ++row) {
      std::byte* const at = first + row * to.row_stride;
      std::byte* const mirrored = first + row * to.column_stride;
      for (Index column = tile.columns.start; column < tile.columns.stop; ++column) {
        const auto value = static_cast<To>(load_element<From>(entries));
        entries += sizeof(From);
        store_element(at + column * to.column_stride, value);
        if (symmetric_) store_element(mirrored + column * to.row_stride, value);
      }
    }
  }

  const ArrayTargets& targets_;
  bool symmetric_;
};

/// Every tile of `matrix` into `targets`.
void fill(const MatrixSpec& matrix, const Program& program, const MatrixSources& sources,
          const ComputeOptions& options, const ArrayTargets& targets, Derivative derivative,
          MatrixSource* upstream, Index tile_size, std::stop_token stop,
          const std::function<void(const Tile&)>& on_delivered) {
  const TileContent content = content_of(targets.kernel.data != nullptr, derivative);
  if (tile_size == 0) tile_size = choose_tile_size(program, matrix, options, content);
  const TilePlan plan = plan_tiles({matrix}, tile_size);
  ComputeRequest request{.program = &program, .plan = &plan, .sources = {sources}, .tiles = {}};
  request.tiles.resize(plan.tiles.size());
  std::iota(request.tiles.begin(), request.tiles.end(), 0);
  request.content = content;
  request.upstream = upstream;
  ArraySink sink(targets, matrix.kind == MatrixKind::kSymmetric);
  compute_tiles(request, options, sink, std::move(stop), on_delivered);
}

}  // namespace

void fill_arrays(const Program& program, BlockSource& rows, BlockSource* columns,
                 const ComputeOptions& options, const ArrayTargets& targets, Derivative derivative,
                 MatrixSource* upstream, Index tile_size, std::stop_token stop,
                 const std::function<void(const Tile&)>& on_delivered) {
  const bool symmetric = columns == nullptr;
  const MatrixSpec matrix{.name = "K",
                          .kind = symmetric ? MatrixKind::kSymmetric : MatrixKind::kCross,
                          .num_rows = rows.num_examples(),
                          .num_columns = symmetric ? rows.num_examples() : columns->num_examples()};
  fill(matrix, program, {&rows, columns}, options, targets, derivative, upstream, tile_size,
       std::move(stop), on_delivered);
}

void fill_diagonal(const Program& program, BlockSource& images, const ComputeOptions& options,
                   const ArrayTargets& targets, Derivative derivative) {
  const MatrixSpec matrix{.name = "K",
                          .kind = MatrixKind::kDiagonal,
                          .num_rows = images.num_examples(),
                          .num_columns = 1};
  fill(matrix, program, {&images, nullptr}, options, targets, derivative, nullptr, 0, {}, {});
}

ArrayResult compute_arrays(const Program& program, BlockSource& rows, BlockSource* columns,
                           const ComputeOptions& options, Derivative derivative,
                           MatrixSource* upstream, Index tile_size) {
  const Index num_rows = rows.num_examples();
  const Index num_columns = columns != nullptr ? columns->num_examples() : num_rows;
  const auto entries = static_cast<std::size_t>(num_rows * num_columns);
  const auto num_parameters = static_cast<Index>(program.parameters.size());
  ArrayResult result;
  result.num_rows = num_rows;
  result.num_columns = num_columns;
  ArrayTargets targets;
  if (derivative != Derivative::kGradient) {
    result.kernel.assign(entries, 0.0);
    targets.kernel = matrix_span(result.kernel.data(), num_rows, num_columns);
  }
  if (derivative == Derivative::kJacobian) {
    result.jacobian.assign(entries * program.parameters.size(), 0.0);
    targets.jacobian = cube_span(result.jacobian.data(), num_parameters, num_rows, num_columns);
  }
  if (derivative == Derivative::kGradient) {
    result.gradient.assign(program.parameters.size(), 0.0);
    targets.gradient = result.gradient;
  }
  fill_arrays(program, rows, columns, options, targets, derivative, upstream, tile_size);
  return result;
}

}  // namespace gramtile
