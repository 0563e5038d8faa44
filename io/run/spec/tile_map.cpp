#include "io/run/spec/tile_map.hpp"

#include <algorithm>
#include <utility>

#include "engine/core/errors.hpp"

namespace gramtile {

ChunkShape chunk_shape(const TilePlan& plan, Index matrix) {
  const MatrixSpec& spec = plan.matrices[static_cast<std::size_t>(matrix)];
  const Index rows = std::min(plan.tile_size, spec.num_rows);
  if (spec.kind == MatrixKind::kDiagonal) return {rows, 1};
  return {rows, std::min(plan.tile_size, spec.num_columns)};
}

Index num_planes(const RunSpec& spec, const PlaneGroup& group) {
  return group.num_planes(static_cast<Index>(spec.parameter_names.size()));
}

Index num_planes(const RunSpec& spec) {
  return spec.content.num_planes(static_cast<Index>(spec.parameter_names.size()));
}

Index first_plane(const RunSpec& spec, std::string_view name) {
  Index first = 0;
  for (const PlaneGroup& group : spec.content.planes) {
    if (group.name == name) return first;
    first += num_planes(spec, group);
  }
  return -1;
}

Index vector_size(const RunSpec& spec) {
  return spec.content.vector.empty() ? 0 : static_cast<Index>(spec.parameter_names.size());
}

Range tiles_of(const TilePlan& plan, std::optional<Shard> shard) {
  if (!shard) return {0, static_cast<Index>(plan.tiles.size())};
  return shard_of(plan, shard->index, shard->count);
}

std::string dataset_name(const PlaneGroup& group, const MatrixSpec& matrix) {
  return group.prefix + matrix.name;
}

std::string tile_vector_name(const RunSpec& spec) { return "tile_" + spec.content.vector; }

TileMap::TileMap(const RunSpec& spec, std::optional<Shard> shard, std::vector<hdf5::RawData> raw)
    : spec_(&spec),
      is_share_(shard.has_value()),
      tiles_(tiles_of(spec.plan, shard)),
      raw_(std::move(raw)),
      first_tile_(spec.plan.matrices.size()) {
  for (std::size_t m = 0; m < first_tile_.size(); ++m)
    first_tile_[m] = std::max(tiles_.start, spec.plan.tiles.of_matrix(static_cast<Index>(m)).start);
}

const hdf5::RawData& TileMap::raw(const std::string& dataset) const {
  const auto found = std::ranges::find(raw_, dataset, &hdf5::RawData::dataset);
  if (found == raw_.end())
    throw Error(ErrorKind::kOther, "dataset " + dataset + " has no place in the file");
  return *found;
}

std::uint64_t TileMap::chunk_offset(const std::string& dataset, Index chunk) const {
  const hdf5::RawData& place = raw(dataset);
  return place.offset + static_cast<std::uint64_t>(chunk) * place.chunk_bytes;
}

std::uint64_t TileMap::plane_chunk_offset(const PlaneGroup& group, Index matrix, Index block_row,
                                          Index block_column) const {
  const MatrixSpec& spec = spec_->plan.matrices[static_cast<std::size_t>(matrix)];
  const ChunkShape chunk = chunk_shape(spec_->plan, matrix);
  const Index columns = spec.kind == MatrixKind::kDiagonal ? 1 : spec.num_columns;
  const Index grid_columns = (columns + chunk.columns - 1) / chunk.columns;
  return chunk_offset(dataset_name(group, spec), block_row * grid_columns + block_column);
}

std::vector<Piece> TileMap::pieces(Index index) const {
  const Tile t = tile(index);
  const MatrixSpec& matrix = spec_->plan.matrices[static_cast<std::size_t>(t.matrix)];
  const ChunkShape chunk = chunk_shape(spec_->plan, t.matrix);
  const std::size_t chunk_bytes = chunk.num_entries() * size_in_bytes(spec_->data_type);
  const Index grid_rows = (matrix.num_rows + chunk.rows - 1) / chunk.rows;
  const Index grid_columns = matrix.kind == MatrixKind::kDiagonal
                                 ? 1
                                 : (matrix.num_columns + chunk.columns - 1) / chunk.columns;
  const bool mirrored = !is_share_ && matrix.kind == MatrixKind::kSymmetric && !t.on_diagonal();
  const Index in_share = index - first_tile_[static_cast<std::size_t>(t.matrix)];
  std::vector<Piece> pieces;
  std::size_t packed_offset = 0;
  // Plane p out of `planes` of a dataset.
  const auto append = [&](const std::string& dataset, Index p, Index planes) {
    Piece piece{.packed_offset = packed_offset, .num_bytes = chunk_bytes, .mirror_offset = {}};
    const Index first = p * grid_rows * grid_columns;
    piece.file_offset =
        chunk_offset(dataset, is_share_ ? in_share * planes + p
                                        : first + t.block_row * grid_columns + t.block_column);
    if (mirrored)
      piece.mirror_offset =
          chunk_offset(dataset, first + t.block_column * grid_columns + t.block_row);
    pieces.push_back(piece);
    packed_offset += chunk_bytes;
  };
  for (const PlaneGroup& group : spec_->content.planes) {
    const Index planes = num_planes(*spec_, group);
    for (Index p = 0; p < planes; ++p) append(dataset_name(group, matrix), p, planes);
  }
  const auto row_bytes = static_cast<std::size_t>(vector_size(*spec_)) * sizeof(double);
  if (row_bytes > 0) {
    const auto row = static_cast<std::uint64_t>(index - tiles_.start);
    pieces.push_back(
        {raw(tile_vector_name(*spec_)).offset + row * row_bytes, packed_offset, row_bytes, {}});
  }
  return pieces;
}

std::uint64_t TileMap::hash_offset(Index tile) const {
  return raw(kTileHashName).offset + static_cast<std::uint64_t>(tile - tiles_.start) * 8;
}

std::optional<std::uint64_t> TileMap::vector_offset() const {
  if (is_share_ || vector_size(*spec_) == 0) return std::nullopt;
  return raw(spec_->content.vector).offset;
}

std::uint64_t TileMap::complete_offset() const { return raw(kCompleteName).offset; }

}  // namespace gramtile
