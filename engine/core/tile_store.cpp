#include "engine/core/tile_store.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/core/errors.hpp"

namespace gramtile {
namespace {

double entry_of(std::span<const std::byte> entries, DataType type, Index i) {
  if (type == DataType::kFloat64) {
    double value;
    std::memcpy(&value, &entries[as_size(i) * sizeof value], sizeof value);
    return value;
  }
  float value;
  std::memcpy(&value, &entries[as_size(i) * sizeof value], sizeof value);
  return static_cast<double>(value);
}

Range overlap(Range a, Range b) { return {std::max(a.start, b.start), std::min(a.stop, b.stop)}; }

}  // namespace

MemoryTileStore::MemoryTileStore(TilePlan plan, TileContent content)
    : plan_(std::move(plan)), content_(std::move(content)), tiles_(plan_.tiles.size()) {}

bool MemoryTileStore::has(Index tile) const { return tiles_[as_size(tile)].is_there; }

void MemoryTileStore::write(const TileResult& result) {
  Kept kept{.is_there = true, .data_type = result.data_type, .planes = {}, .vector = {}};
  for (const PlaneGroup& group : content_.planes) {
    const std::span<const std::byte> entries = result.plane(group.name);
    if (entries.empty())
      throw Error(ErrorKind::kOther, "a bug: a tile came without its planes " + group.name);
    kept.planes.emplace_back(entries.begin(), entries.end());
  }
  kept.vector.assign(result.vector.begin(), result.vector.end());
  tiles_[as_size(result.tile.index)] = std::move(kept);
}

void MemoryTileStore::read(Index tile, const std::function<void(const TileResult&)>& use) {
  const Kept& kept = tiles_[as_size(tile)];
  std::vector<TilePlane> planes;
  for (std::size_t g = 0; g < kept.planes.size(); ++g)
    planes.push_back({content_.planes[g].name, kept.planes[g]});
  use({.tile = plan_.tiles[as_size(tile)],
       .data_type = kept.data_type,
       .planes = planes,
       .vector = kept.vector});
}

StoredMatrix::StoredMatrix(TileStore& store, Index matrix, std::string name, Index member)
    : store_(store), matrix_(matrix), name_(std::move(name)), member_(member) {
  const PlaneGroup* group = store.content().find(name_);
  if (group == nullptr || (!group->per_parameter && member != 0))
    throw Error(ErrorKind::kUsage, "the tiles have no planes " + name_ + " of that number");
  const TilePlan& plan = store.plan();
  block_columns_ = num_blocks(num_columns(), plan.tile_size);
  tile_at_.assign(as_size(num_blocks(num_rows(), plan.tile_size) * block_columns_), -1);
  const Range tiles = plan.tiles.of_matrix(matrix);
  for (Index t = tiles.start; t < tiles.stop; ++t) {
    const Tile tile = plan.tiles[as_size(t)];
    tile_at_[as_size(tile.block_row * block_columns_ + tile.block_column)] = t;
  }
}

const MatrixSpec& StoredMatrix::spec() const { return store_.plan().matrices[as_size(matrix_)]; }

Index StoredMatrix::num_rows() const { return spec().num_rows; }

Index StoredMatrix::num_columns() const {
  return spec().kind == MatrixKind::kDiagonal ? 1 : spec().num_columns;
}

void StoredMatrix::read(Range rows, Range columns, std::span<double> values) const {
  const Index size = store_.plan().tile_size;
  for (Index r = rows.start / size; r * size < rows.stop; ++r) {
    for (Index c = columns.start / size; c * size < columns.stop; ++c) {
      const bool mirrored = tile_at_[as_size(r * block_columns_ + c)] < 0;
      const Index tile = mirrored ? tile_at_[as_size(c * block_columns_ + r)]
                                  : tile_at_[as_size(r * block_columns_ + c)];
      if (!store_.has(tile))
        throw Error(ErrorKind::kUsage,
                    "tile " + std::to_string(tile) + " of " + spec().name + " was not written yet");
      store_.read(tile,
                  [&](const TileResult& result) { copy(result, mirrored, rows, columns, values); });
    }
  }
}

/// The part of `rows` × `columns` that the tile, or its mirror image, covers.
void StoredMatrix::copy(const TileResult& result, bool mirrored, Range rows, Range columns,
                        std::span<double> values) const {
  const Tile& tile = result.tile;
  const Index height = tile.rows.size(), width = tile.columns.size();
  const Range own_rows = overlap(rows, mirrored ? tile.columns : tile.rows);
  const Range own_columns = overlap(columns, mirrored ? tile.rows : tile.columns);
  const std::span<const std::byte> entries = result.plane(name_);
  const Index first = member_ * height * width;
  for (Index row = own_rows.start; row < own_rows.stop; ++row) {
    for (Index column = own_columns.start; column < own_columns.stop; ++column) {
      const Index i = (mirrored ? column : row) - tile.rows.start;
      const Index j = (mirrored ? row : column) - tile.columns.start;
      values[as_size((row - rows.start) * columns.size() + column - columns.start)] =
          entry_of(entries, result.data_type, first + i * width + j);
    }
  }
}

}  // namespace gramtile
