// A whole run in memory: every tile into one array. What the array calls of engine/gramtile.hpp and
// the tests stand on.
#pragma once

#include <vector>

#include "engine/schedule/compute.hpp"

namespace gramtile {

/// One matrix, in memory. Only what was asked for is filled: a gradient comes without K, so that
/// its memory does not grow with the matrix.
struct ArrayResult {
  Index num_rows = 0, num_columns = 0;
  std::vector<double> kernel;    ///< [num_rows, num_columns]
  std::vector<double> jacobian;  ///< [P, num_rows, num_columns]
  std::vector<double> gradient;  ///< [P], the sum over tiles in the plan's order
};

/// K(rows, columns), or the symmetric K(rows, rows) where `columns` is nullptr, in tiles of
/// `tile_size` (0: chosen). Throws like compute_tiles.
ArrayResult compute_arrays(const Program& program, BlockSource& rows, BlockSource* columns,
                           const ComputeOptions& options, Derivative derivative = Derivative::kNone,
                           UpstreamSource* upstream = nullptr, Index tile_size = 0);

}  // namespace gramtile
