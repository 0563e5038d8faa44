#include "engine/core/tile.hpp"

#include <algorithm>
#include <utility>

namespace gramtile {
namespace {

constexpr Index kPanel = 8;  // blocks per panel edge

Index num_blocks(Index extent, Index tile_size) { return (extent + tile_size - 1) / tile_size; }

void append_panel(TilePlan& plan, Index matrix, Range block_rows, Range block_columns) {
  const MatrixSpec& spec = plan.matrices[static_cast<std::size_t>(matrix)];
  const bool symmetric = spec.kind == MatrixKind::kSymmetric;
  for (Index i = block_rows.start; i < block_rows.stop; ++i) {
    const Index first = symmetric ? std::max(i, block_columns.start) : block_columns.start;
    for (Index j = first; j < block_columns.stop; ++j) {
      Tile tile{.index = static_cast<Index>(plan.tiles.size()), .matrix = matrix};
      tile.block_row = i;
      tile.block_column = j;
      tile.rows = {i * plan.tile_size, std::min((i + 1) * plan.tile_size, spec.num_rows)};
      tile.columns = {j * plan.tile_size, std::min((j + 1) * plan.tile_size, spec.num_columns)};
      plan.tiles.push_back(tile);
    }
  }
}

void append_matrix(TilePlan& plan, Index matrix) {
  const MatrixSpec& spec = plan.matrices[static_cast<std::size_t>(matrix)];
  const Index rows = num_blocks(spec.num_rows, plan.tile_size);
  const Index columns = num_blocks(spec.num_columns, plan.tile_size);
  const bool symmetric = spec.kind == MatrixKind::kSymmetric;
  for (Index i = 0; i < rows; i += kPanel) {
    for (Index j = symmetric ? i : 0; j < columns; j += kPanel) {
      append_panel(plan, matrix, {i, std::min(i + kPanel, rows)},
                   {j, std::min(j + kPanel, columns)});
    }
  }
}

}  // namespace

Index TilePlan::num_pairs(const Tile& tile) const {
  const bool half =
      matrices[static_cast<std::size_t>(tile.matrix)].kind == MatrixKind::kSymmetric &&
      tile.on_diagonal();
  const Index n = tile.rows.size();
  return half ? n * (n + 1) / 2 : n * tile.columns.size();
}

Index TilePlan::num_pairs() const {
  Index total = 0;
  for (const Tile& tile : tiles) total += num_pairs(tile);
  return total;
}

TilePlan plan_tiles(std::vector<MatrixSpec> matrices, Index tile_size) {
  TilePlan plan{.tile_size = tile_size, .matrices = std::move(matrices), .tiles = {}};
  for (std::size_t m = 0; m < plan.matrices.size(); ++m) append_matrix(plan, static_cast<Index>(m));
  return plan;
}

Range shard_of(const TilePlan& plan, Index shard, Index num_shards) {
  // Tile t belongs to the shard that its first pair falls into: floor(first · R / total).
  const Index total = plan.num_pairs();
  Range share{static_cast<Index>(plan.tiles.size()), static_cast<Index>(plan.tiles.size())};
  Index before = 0;
  for (const Tile& tile : plan.tiles) {
    const auto owner = static_cast<Index>(static_cast<__int128>(before) * num_shards / total);
    if (owner >= shard && tile.index < share.start) share.start = tile.index;
    if (owner > shard) {
      share.stop = tile.index;
      break;
    }
    before += plan.num_pairs(tile);
  }
  return share;
}

}  // namespace gramtile
