// A whole run in memory: every tile into one array. What the array calls of engine/gramtile.hpp and
// the tests stand on.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "engine/core/views.hpp"
#include "engine/schedule/compute.hpp"

namespace gramtile {

/// What a tile size is chosen for, whatever the machine: that of a run of the commands without
/// options (io/job/tile_choice.cpp), with what --memory 2GiB leaves the engine.
constexpr int kUsualThreads = 8;
constexpr std::size_t kUsualMemoryBytes = std::size_t{1792} << 20;

/// The arrays that a run fills; data = nullptr: not asked for. Entries are converted where an array
/// is not of the type that they are computed in.
struct ArrayTargets {
  MatrixSpan kernel;           ///< [num_rows, num_columns]
  CubeSpan jacobian;           ///< [P, num_rows, num_columns]
  std::span<double> gradient;  ///< [P]: the sum over tiles in the plan's order is added to it
};

/// Tiles of K(rows, columns), or of the symmetric K(rows, rows) where `columns` is nullptr, into
/// `targets`, in tiles of `tile_size`. 0: chosen by network, matrix and type alone, as the commands
/// do, so that a gradient's bits depend on neither threads nor memory; smaller only where
/// options.memory_bytes asks for it. Of K and its jacobian no bit depends on it.
/// Throws like compute_tiles. When `stop` is requested it returns early, and arrays are filled in
/// part. `on_delivered` is passed on to compute_tiles.
void fill_arrays(const Program& program, BlockSource& rows, BlockSource* columns,
                 const ComputeOptions& options, const ArrayTargets& targets,
                 Derivative derivative = Derivative::kNone, MatrixSource* upstream = nullptr,
                 Index tile_size = 0, std::stop_token stop = {},
                 const std::function<void(const Tile&)>& on_delivered = {});

/// The pairs (x, x) of every image into `targets`, whose matrices are [N, 1]: K(x, x), and its
/// jacobian. Its K is the diagonal of the symmetric matrix to the last bit. Throws like
/// fill_arrays.
void fill_diagonal(const Program& program, BlockSource& images, const ComputeOptions& options,
                   const ArrayTargets& targets, Derivative derivative = Derivative::kNone);

/// One matrix, in memory, as double. Only what was asked for is filled: a gradient comes without K,
/// so that its memory does not grow with the matrix.
struct ArrayResult {
  Index num_rows = 0, num_columns = 0;
  std::vector<double> kernel;    ///< [num_rows, num_columns]
  std::vector<double> jacobian;  ///< [P, num_rows, num_columns]
  std::vector<double> gradient;  ///< [P]
};

/// fill_arrays() into arrays of its own.
ArrayResult compute_arrays(const Program& program, BlockSource& rows, BlockSource* columns,
                           const ComputeOptions& options, Derivative derivative = Derivative::kNone,
                           MatrixSource* upstream = nullptr, Index tile_size = 0);

}  // namespace gramtile
