// K of one tile: cut into strips (one pack of columns against a few rows) that threads share.
#pragma once

#include <span>

#include "engine/backend/lanes/prepared_block.hpp"
#include "engine/core/tile.hpp"
#include "engine/parallel/executor.hpp"
#include "engine/parallel/workspace_pool.hpp"

namespace gramtile {

/// Rows of a strip: long enough to use a pack's maps while they are in L2, short enough that one
/// tile occupies many threads. Part of the summation order of gradients; not to depend on threads.
inline constexpr Index kStripRows = 128;

/// The two blocks of a tile. `triangle`: a diagonal tile of a symmetric matrix, where rows and
/// columns are the same examples.
template <class T>
struct TileOperands {
  const LaneProgram& program;
  const PreparedBlock<T>& rows;
  const PreparedBlock<T>& columns;
  bool triangle = false;
};

/// The exponent that an entry of K is stored with: K = what the kernels leave · 2^−exponent.
template <class T>
int entry_exponent(const TileOperands<T>& tile, Index row, Index column) {
  return tile.program.output_exponent + tile.rows.exponents[static_cast<std::size_t>(row)] +
         tile.columns.exponents[static_cast<std::size_t>(column)];
}

/// Writes entries row, first … first + count − 1 of K to `kernel` [rows, columns]. `lanes`: what
/// the kernels leave of them.
template <class T>
void store_entries(const TileOperands<T>& tile, const T* lanes, Index row, Index first, Index count,
                   std::span<T> kernel);

/// Fills the lower triangle of a square matrix from the upper one, and sets its diagonal.
template <class T>
void mirror_triangle(std::span<const double> diagonal, std::span<T> matrix);

/// Writes K to `kernel`, [rows, columns]. Of a triangle only pairs above the diagonal are computed
/// and mirrored; the diagonal is the variance.
template <class T>
void compute_tile_kernel(const TileOperands<T>& tile, Executor& executor,
                         WorkspacePool<LaneWorkspace<T>>& workspaces, std::span<T> kernel);

}  // namespace gramtile
