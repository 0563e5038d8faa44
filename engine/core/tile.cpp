#include "engine/core/tile.hpp"

#include <algorithm>
#include <utility>

namespace gramtile {
namespace {

constexpr Index kPanel = 8;  // blocks per panel edge

/// Σ (n − i) for i < k: what k rows of a triangle with edge n hold.
Index triangle_rows(Index n, Index k) { return k * n - k * (k - 1) / 2; }

/// The first of [start, stop) that `is_after` holds for; it holds from there on. `stop`: for none.
template <typename Predicate>
Index first_after(Index start, Index stop, const Predicate& is_after) {
  while (start < stop) {
    const Index middle = start + (stop - start) / 2;
    if (is_after(middle)) {
      stop = middle;
    } else {
      start = middle + 1;
    }
  }
  return start;
}

}  // namespace

Index num_pairs(MatrixKind kind, const Tile& tile) {
  const Index n = tile.rows.size();
  const bool half = kind == MatrixKind::kSymmetric && tile.on_diagonal();
  return half ? n * (n + 1) / 2 : n * tile.columns.size();
}

TileList::TileList(const std::vector<MatrixSpec>& matrices, Index tile_size)
    : tile_size_(tile_size) {
  for (const MatrixSpec& matrix : matrices) {
    Grid grid{.kind = matrix.kind,
              .num_rows = matrix.num_rows,
              .num_columns = matrix.num_columns,
              .block_rows = num_blocks(matrix.num_rows, tile_size),
              .block_columns = num_blocks(matrix.num_columns, tile_size),
              .first_tile = num_tiles_,
              .first_pair = num_pairs_};
    const bool symmetric = matrix.kind == MatrixKind::kSymmetric;
    num_tiles_ += symmetric ? triangle_rows(grid.block_rows, grid.block_rows)
                            : grid.block_rows * grid.block_columns;
    num_pairs_ += symmetric ? triangle_rows(matrix.num_rows, matrix.num_rows)
                            : matrix.num_rows * matrix.num_columns;
    grids_.push_back(grid);
  }
}

Range TileList::of_matrix(Index matrix) const {
  const auto m = static_cast<std::size_t>(matrix);
  return {grids_[m].first_tile, m + 1 < grids_.size() ? grids_[m + 1].first_tile : num_tiles_};
}

const TileList::Grid& TileList::grid_of(Index tile) const {
  auto grid = grids_.end();
  do {
    --grid;
  } while (grid->first_tile > tile);
  return *grid;
}

Tile TileList::tile_at(const Grid& grid, Index block_row, Index block_column) const {
  Tile tile{.matrix = &grid - grids_.data(), .block_row = block_row, .block_column = block_column};
  tile.rows = {block_row * tile_size_, std::min((block_row + 1) * tile_size_, grid.num_rows)};
  tile.columns = {block_column * tile_size_,
                  std::min((block_column + 1) * tile_size_, grid.num_columns)};
  return tile;
}

// Panel rows hold whole rows of blocks, so what lies before one is a formula; inside, every panel
// but the last is full: h × 8 blocks, of a symmetric matrix a triangle of h before those.
Tile TileList::operator[](std::size_t index) const {
  const auto position = static_cast<Index>(index);
  const Grid& grid = grid_of(position);
  const bool symmetric = grid.kind == MatrixKind::kSymmetric;
  const auto before = [&](Index panel_row) {  // tiles of the panel rows before
    const Index rows = std::min(panel_row * kPanel, grid.block_rows);
    return symmetric ? triangle_rows(grid.block_rows, rows) : rows * grid.block_columns;
  };
  Index rest = position - grid.first_tile;
  const Index panel_row = first_after(0, num_blocks(grid.block_rows, kPanel),
                                      [&](Index k) { return before(k + 1) > rest; });
  rest -= before(panel_row);
  const Index i = panel_row * kPanel, h = std::min(kPanel, grid.block_rows - i);
  Index row = 0, column = 0;
  const Index triangle = symmetric ? triangle_rows(h, h) : 0;
  if (rest < triangle) {
    row = first_after(0, h, [&](Index k) { return triangle_rows(h, k + 1) > rest; });
    column = i + row + rest - triangle_rows(h, row);
  } else {
    rest -= triangle;
    const Index panel = rest / (h * kPanel);
    rest -= panel * h * kPanel;
    const Index j = (symmetric ? i + kPanel : 0) + panel * kPanel;
    const Index w = std::min(kPanel, grid.block_columns - j);
    row = rest / w;
    column = j + rest % w;
  }
  Tile tile = tile_at(grid, i + row, column);
  tile.index = position;
  return tile;
}

Index TileList::pairs_before(Index index) const {
  if (index >= num_tiles_) return num_pairs_;
  const Grid& grid = grid_of(index);
  const bool symmetric = grid.kind == MatrixKind::kSymmetric;
  const Tile tile = (*this)[static_cast<std::size_t>(index)];
  const Index i = tile.block_row - tile.block_row % kPanel;
  const Index start = i * tile_size_;  // first row of the panel row
  const Index height = std::min(start + kPanel * tile_size_, grid.num_rows) - start;
  Index pairs = grid.first_pair +
                (symmetric ? triangle_rows(grid.num_rows, start) : start * grid.num_columns);
  // Whole panels before, in this panel row.
  const Index from = symmetric ? i : 0;
  const Index j = tile.block_column - (tile.block_column - from) % kPanel;
  if (symmetric && j > i) pairs += height * (height + 1) / 2;
  const Index whole = j * tile_size_ - (symmetric ? start + height : 0);
  if (whole > 0) pairs += height * whole;
  // Tiles before, in this panel: at most 63.
  for (Index r = i; r <= tile.block_row; ++r) {
    const Index stop =
        r < tile.block_row ? std::min(j + kPanel, grid.block_columns) : tile.block_column;
    for (Index c = symmetric ? std::max(r, j) : j; c < stop; ++c)
      pairs += num_pairs(grid.kind, tile_at(grid, r, c));
  }
  return pairs;
}

Index TilePlan::num_pairs(const Tile& tile) const {
  return gramtile::num_pairs(matrices[static_cast<std::size_t>(tile.matrix)].kind, tile);
}

Index TilePlan::num_pairs() const { return tiles.pairs_before(static_cast<Index>(tiles.size())); }

TilePlan plan_tiles(std::vector<MatrixSpec> matrices, Index tile_size) {
  TileList tiles(matrices, tile_size);
  return {.tile_size = tile_size, .matrices = std::move(matrices), .tiles = std::move(tiles)};
}

Range shard_of(const TilePlan& plan, Index shard, Index num_shards) {
  // Tile t belongs to the shard that its first pair falls into: floor(first · R / total).
  const Index total = plan.num_pairs();
  const auto num_tiles = static_cast<Index>(plan.tiles.size());
  const auto first_of = [&](Index wanted) {
    return first_after(0, num_tiles, [&](Index t) {
      const auto before = static_cast<__int128>(plan.tiles.pairs_before(t));
      return static_cast<Index>(before * num_shards / total) >= wanted;
    });
  };
  return {first_of(shard), first_of(shard + 1)};
}

}  // namespace gramtile
