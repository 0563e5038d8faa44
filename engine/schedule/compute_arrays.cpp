#include "engine/schedule/compute_arrays.hpp"

#include <algorithm>
#include <numeric>

namespace gramtile {
namespace {

/// Writes tiles into arrays; of a symmetric matrix both triangles.
class ArraySink : public TileSink {
 public:
  ArraySink(ArrayResult& result, bool symmetric) : result_(result), symmetric_(symmetric) {}

  void write(const TileResult& tile) override {
    place(tile, tile.kernel, result_.kernel, 1);
    const std::size_t per_matrix = static_cast<std::size_t>(result_.num_rows * result_.num_columns);
    place(tile, tile.jacobian, result_.jacobian,
          static_cast<Index>(result_.jacobian.size() / per_matrix));
    for (std::size_t p = 0; p < tile.gradient.size(); ++p) result_.gradient[p] += tile.gradient[p];
  }

 private:
  /// `values` [planes, rows, columns] of the tile into `to` [planes, num_rows, num_columns].
  void place(const TileResult& tile, std::span<const std::byte> values, std::vector<double>& to,
             Index planes) const {
    if (values.empty()) return;
    const Range rows = tile.tile.rows, columns = tile.tile.columns;
    Index i = 0;
    for (Index plane = 0; plane < planes; ++plane) {
      double* matrix = to.data() + plane * result_.num_rows * result_.num_columns;
      for (Index row = rows.start; row < rows.stop; ++row) {
        for (Index column = columns.start; column < columns.stop; ++column, ++i) {
          const double value = entry(values, tile.data_type, i);
          matrix[row * result_.num_columns + column] = value;
          if (symmetric_) matrix[column * result_.num_columns + row] = value;
        }
      }
    }
  }

  static double entry(std::span<const std::byte> values, DataType type, Index i) {
    if (type == DataType::kFloat64) return reinterpret_cast<const double*>(values.data())[i];
    return static_cast<double>(reinterpret_cast<const float*>(values.data())[i]);
  }

  ArrayResult& result_;
  bool symmetric_;
};

}  // namespace

ArrayResult compute_arrays(const Program& program, BlockSource& rows, BlockSource* columns,
                           const ComputeOptions& options, Derivative derivative,
                           UpstreamSource* upstream, Index tile_size) {
  ArrayResult result;
  result.num_rows = rows.num_examples();
  result.num_columns = columns != nullptr ? columns->num_examples() : rows.num_examples();
  const auto entries = static_cast<std::size_t>(result.num_rows * result.num_columns);
  const std::size_t num_parameters = program.parameters.size();
  const bool with_kernel = derivative != Derivative::kGradient;
  if (with_kernel) result.kernel.assign(entries, 0.0);
  if (derivative == Derivative::kJacobian) result.jacobian.assign(entries * num_parameters, 0.0);
  if (derivative == Derivative::kGradient) result.gradient.assign(num_parameters, 0.0);

  const MatrixSpec spec{.name = "K",
                        .kind = columns != nullptr ? MatrixKind::kCross : MatrixKind::kSymmetric,
                        .num_rows = result.num_rows,
                        .num_columns = result.num_columns};
  if (tile_size == 0) tile_size = default_tile_size(program, {&spec, 1}, options, derivative);
  const TilePlan plan = plan_tiles({spec}, tile_size);
  ComputeRequest request{
      .program = &program, .plan = &plan, .sources = {{&rows, columns}}, .tiles = {}};
  request.tiles.resize(plan.tiles.size());
  std::iota(request.tiles.begin(), request.tiles.end(), 0);
  request.with_kernel = with_kernel;
  request.derivative = derivative;
  request.upstream = upstream;
  ArraySink sink(result, columns == nullptr);
  compute_tiles(request, options, sink);
  return result;
}

}  // namespace gramtile
