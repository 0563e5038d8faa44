#include "engine/backend/lanes/tile_kernel.hpp"

#include <algorithm>
#include <cmath>

#include "engine/simd/kernels.hpp"

namespace gramtile {
namespace {

/// Packs of columns × chunks of rows, numbered chunk by chunk: a chunk's rows stay in the outer
/// caches while pack after pack is computed.
struct Strip {
  Index pack;
  Range rows;
};

Strip strip_at(Index number, Index num_packs, Index num_rows) {
  const Index start = number / num_packs * kStripRows;
  return {number % num_packs, {start, std::min(start + kStripRows, num_rows)}};
}

template <class T>
void compute_strip(const TileOperands<T>& tile, const Strip& strip, const Executor& executor,
                   LaneWorkspace<T>& workspace, std::span<T> kernel) {
  const simd::Kernels<T>& routines = simd::kernels<T>();
  const LaneSteps program = tile.program.view();
  const Index first = strip.pack * routines.lanes;
  const Index count = std::min(routines.lanes, tile.columns.examples.size() - first);
  const T* pack = tile.columns.view.packs + strip.pack * tile.columns.view.pack_stride;
  const T* result =
      workspace.slots.data() + program.output_slot * program.slot_stride * routines.lanes;
  for (Index row = strip.rows.start; row < strip.rows.stop; ++row) {
    if (tile.triangle && first + count <= row + 1) break;  // nothing above the diagonal any more
    executor.leave_if_abandoned();
    routines.forward(program, {tile.rows.view.rows + row * tile.rows.view.row_stride, pack,
                               workspace.slots.data(), workspace.scratch.data()});
    store_entries(tile, result, row, first, count, kernel);
  }
}

}  // namespace

template <class T>
void store_entries(const TileOperands<T>& tile, const T* lanes, Index row, Index first, Index count,
                   std::span<T> kernel) {
  T* const to = kernel.data() + row * tile.columns.examples.size() + first;
  for (Index i = 0; i < count; ++i) {
    const int exponent = entry_exponent(tile, row, first + i);
    to[i] = exponent == 0 ? lanes[i]
                          : static_cast<T>(std::ldexp(static_cast<double>(lanes[i]), -exponent));
  }
}

template <class T>
void mirror_triangle(std::span<const double> diagonal, std::span<T> matrix) {
  const std::size_t n = diagonal.size();
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < i; ++j) matrix[i * n + j] = matrix[j * n + i];
    matrix[i * n + i] = static_cast<T>(diagonal[i]);
  }
}

template <class T>
void compute_tile_kernel(const TileOperands<T>& tile, Executor& executor,
                         WorkspacePool<LaneWorkspace<T>>& workspaces, std::span<T> kernel) {
  const Index num_rows = tile.rows.examples.size();
  const Index chunks = (num_rows + kStripRows - 1) / kStripRows;
  const Index packs = num_packs<T>(tile.columns.examples.size());
  executor.for_each(packs * chunks, [&](Index number) {
    auto workspace = workspaces.borrow();
    compute_strip(tile, strip_at(number, packs, num_rows), executor, *workspace, kernel);
  });
  if (tile.triangle) mirror_triangle<T>(tile.rows.diagonal, kernel);
}

template void store_entries(const TileOperands<float>&, const float*, Index, Index, Index,
                            std::span<float>);
template void store_entries(const TileOperands<double>&, const double*, Index, Index, Index,
                            std::span<double>);
template void mirror_triangle(std::span<const double>, std::span<float>);
template void mirror_triangle(std::span<const double>, std::span<double>);
template void compute_tile_kernel(const TileOperands<float>&, Executor&,
                                  WorkspacePool<LaneWorkspace<float>>&, std::span<float>);
template void compute_tile_kernel(const TileOperands<double>&, Executor&,
                                  WorkspacePool<LaneWorkspace<double>>&, std::span<double>);

}  // namespace gramtile
