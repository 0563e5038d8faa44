// Where each number of a tile lies in a run's file, whole or share.
//
// A tile is packed the way it is stored and hashed: the chunks of its planes, group by group of the
// run's content (engine/core/tile_content.hpp), then its vector, edge chunks padded with NaN to
// full chunk size:
//
//   packed = planes [planes of all groups, chunk_rows, chunk_columns] · vector [P]
//
// In a whole file an off-diagonal tile of a symmetric matrix is stored a second time, each chunk
// transposed, as its mirror image. In a share every tile is stored once, in the order of the plan.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/ports.hpp"
#include "io/hdf5/file_builder.hpp"
#include "io/run/spec/run_spec.hpp"
#include "io/run/spec/shard.hpp"

namespace gramtile {

/// Chunk extents of matrix `m`: the tile size, or the matrix where that is smaller.
struct ChunkShape {
  Index rows = 0;
  Index columns = 0;  ///< 1 for kDiagonal

  std::size_t num_entries() const { return static_cast<std::size_t>(rows * columns); }
};
ChunkShape chunk_shape(const TilePlan& plan, Index matrix);

/// Planes of one group, and of all; numbers of the vector, 0 without one.
Index num_planes(const RunSpec& spec, const PlaneGroup& group);
Index num_planes(const RunSpec& spec);
/// Position of the first plane of that name among all; −1 without.
Index first_plane(const RunSpec& spec, std::string_view name);
Index vector_size(const RunSpec& spec);

/// Bytes of one packed tile.
std::size_t packed_bytes(const RunSpec& spec, const Tile& tile);
/// Packs a result. Throws Error(kOther) naming matrix, parameter and entry for the first value that
/// is not finite, and Error(kOther) when the result does not hold what the spec asks for.
std::vector<std::byte> pack(const RunSpec& spec, const TileResult& result);
/// Entries [rows, columns] out of one padded chunk, `element_bytes` each.
void unpad(const Tile& tile, ChunkShape chunk, std::size_t element_bytes,
           std::span<const std::byte> padded, std::span<std::byte> entries);

/// A packed tile as the engine delivered it: pack() of its result is `packed` again.
class UnpackedTile {
 public:
  UnpackedTile(const RunSpec& spec, const Tile& tile, std::span<const std::byte> packed);
  UnpackedTile(const UnpackedTile&) = delete;

  const TileResult& result() const { return result_; }

 private:
  std::vector<std::byte> entries_;
  std::vector<TilePlane> planes_;
  std::vector<double> vector_;
  TileResult result_;
};

/// The padded chunk transposed; square chunks only.
void transpose_chunk(ChunkShape chunk, std::size_t element_bytes, std::span<const std::byte> from,
                     std::span<std::byte> to);

/// One piece of a packed tile and where it goes.
struct Piece {
  std::uint64_t file_offset = 0;
  std::size_t packed_offset = 0;
  std::size_t num_bytes = 0;
  std::optional<std::uint64_t> mirror_offset;  ///< of the transposed chunk
};

class TileMap {
 public:
  /// `spec` must outlive the map. `raw` are the places of the file's datasets by name.
  TileMap(const RunSpec& spec, std::optional<Shard> shard, std::vector<hdf5::RawData> raw);

  Range tiles() const { return tiles_; }
  Tile tile(Index index) const { return spec_->plan.tiles[static_cast<std::size_t>(index)]; }
  std::vector<Piece> pieces(Index tile) const;
  /// Where chunk (block_row, block_column) of the first plane of `group` lies, above or below the
  /// diagonal. Whole files alone.
  std::uint64_t plane_chunk_offset(const PlaneGroup& group, Index matrix, Index block_row,
                                   Index block_column) const;

  /// Places of what is written when a run is finished.
  std::uint64_t hash_offset(Index tile) const;
  std::optional<std::uint64_t> vector_offset() const;  ///< [P], the sum; empty for shares
  std::uint64_t complete_offset() const;

 private:
  const hdf5::RawData& raw(const std::string& dataset) const;
  std::uint64_t chunk_offset(const std::string& dataset, Index chunk) const;

  const RunSpec* spec_;
  bool is_share_;
  Range tiles_;
  std::vector<hdf5::RawData> raw_;
  std::vector<Index> first_tile_;  ///< by matrix: first of its tiles that lies in `tiles_`
};

/// Names of the datasets, here and in docs/file_format.md.
std::string dataset_name(const PlaneGroup& group, const MatrixSpec& matrix);  ///< "dKxx"
std::string tile_vector_name(const RunSpec& spec);                            ///< "tile_gradient"
inline constexpr const char* kCompleteName = "complete";
inline constexpr const char* kTileHashName = "tile_hash";

/// Tiles of a run or of its share.
Range tiles_of(const TilePlan& plan, std::optional<Shard> shard);

}  // namespace gramtile
