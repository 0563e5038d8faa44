// Tiles: the unit of work, of memory, of the HDF5 chunk and of resume; and the plan that lists
// every tile of a run in its fixed order.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "engine/core/index.hpp"

namespace gramtile {

/// What one dataset of a run holds.
enum class MatrixKind {
  kSymmetric,  ///< K(X, X), [N, N]: tiles on and above the diagonal are computed, both are stored
  kCross,      ///< K(Y, X), [M, N]
  kDiagonal,   ///< K(y, y) for every y, [M]; its tiles have one column, columns = [0, 1)
};

/// One matrix of a run, before it is cut into tiles.
struct MatrixSpec {
  std::string name;  ///< dataset name, e.g. "Kxx"
  MatrixKind kind = MatrixKind::kSymmetric;
  Index num_rows = 0;
  Index num_columns = 0;  ///< 1 for kDiagonal
};

/// Blocks of `tile_size` that cover `extent`, the last one smaller. For every extent that Index
/// holds.
constexpr Index num_blocks(Index extent, Index tile_size) {
  return extent / tile_size + (extent % tile_size > 0 ? 1 : 0);
}

/// One tile: rows × columns of one matrix. A tile of a symmetric matrix stands for its mirror image
/// too.
struct Tile {
  Index index = 0;                        ///< position in TilePlan::tiles
  Index matrix = 0;                       ///< index into TilePlan::matrices
  Index block_row = 0, block_column = 0;  ///< chunk coordinates: rows.start / tile size
  Range rows = {}, columns = {};

  bool on_diagonal() const { return block_row == block_column; }  ///< kSymmetric only
};

/// Pairs that have to be computed for a tile of such a matrix: half of a diagonal tile of a
/// symmetric one, all of any other.
Index num_pairs(MatrixKind kind, const Tile& tile);

/// All tiles of some matrices, in their order, as a formula: a plan of ten million tiles takes no
/// more memory than one of ten. Tiles are values, made when they are asked for.
class TileList {
 public:
  TileList() = default;
  TileList(const std::vector<MatrixSpec>& matrices, Index tile_size);

  std::size_t size() const { return static_cast<std::size_t>(num_tiles_); }
  bool empty() const { return num_tiles_ == 0; }
  /// Requires index < size().
  Tile operator[](std::size_t index) const;
  /// Tiles of one matrix.
  Range of_matrix(Index matrix) const;
  /// Pairs of the tiles before `index`; index = size() gives those of all.
  Index pairs_before(Index index) const;

  class Iterator {
   public:
    Iterator(const TileList* list, std::size_t at) : list_(list), at_(at) {}
    Tile operator*() const { return (*list_)[at_]; }
    Iterator& operator++() {
      ++at_;
      return *this;
    }
    bool operator==(const Iterator&) const = default;

   private:
    const TileList* list_;
    std::size_t at_;
  };
  Iterator begin() const { return {this, 0}; }
  Iterator end() const { return {this, size()}; }

 private:
  /// One matrix, in tiles.
  struct Grid {
    MatrixKind kind = MatrixKind::kSymmetric;
    Index num_rows = 0, num_columns = 0;      ///< entries
    Index block_rows = 0, block_columns = 0;  ///< blocks
    Index first_tile = 0, first_pair = 0;     ///< of all before
  };
  const Grid& grid_of(Index tile) const;
  Tile tile_at(const Grid& grid, Index block_row, Index block_column) const;

  Index tile_size_ = 1;
  std::vector<Grid> grids_;
  Index num_tiles_ = 0, num_pairs_ = 0;
};

/// All tiles of a run. The order of `tiles` is part of the file format (journal, shards,
/// tile_gradient): it depends on the matrices and the tile size alone.
struct TilePlan {
  Index tile_size = 0;  ///< edge of a full tile, for every matrix
  std::vector<MatrixSpec> matrices;
  TileList tiles;

  /// Pairs that have to be computed for one tile.
  Index num_pairs(const Tile& tile) const;
  /// Pairs of all tiles.
  Index num_pairs() const;
};

/// Cuts the matrices into tiles of `tile_size`, matrix after matrix. Within a matrix, tiles are
/// visited in square panels of 8 × 8 blocks so that consecutive tiles share blocks.
/// Requires tile_size ≥ 1 and every extent ≥ 1.
TilePlan plan_tiles(std::vector<MatrixSpec> matrices, Index tile_size);

/// The contiguous share of tiles for shard `shard` of `num_shards`, balanced by pairs. The shares
/// of shards 0 … num_shards − 1 follow one another and cover the plan; a share can be empty.
Range shard_of(const TilePlan& plan, Index shard, Index num_shards);

}  // namespace gramtile
