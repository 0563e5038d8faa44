#include "io/run/spec/tile_io.hpp"

namespace gramtile {

void write_packed(const RunSpec& spec, const TileMap& map, Index tile,
                  std::span<const std::byte> packed, File& file) {
  const ChunkShape chunk = chunk_shape(spec.plan, map.tile(tile).matrix);
  std::vector<std::byte> mirror;
  for (const Piece& piece : map.pieces(tile)) {
    const auto bytes = packed.subspan(piece.packed_offset, piece.num_bytes);
    file.write(piece.file_offset, bytes);
    if (!piece.mirror_offset) continue;
    mirror.resize(bytes.size());
    transpose_chunk(chunk, size_in_bytes(spec.data_type), bytes, mirror);
    file.write(*piece.mirror_offset, mirror);
  }
}

std::vector<std::byte> read_packed(const RunSpec& spec, const TileMap& map, Index tile,
                                   const File& file) {
  std::vector<std::byte> packed(packed_bytes(spec, map.tile(tile)));
  for (const Piece& piece : map.pieces(tile))
    file.read_all(piece.file_offset,
                  std::span(packed).subspan(piece.packed_offset, piece.num_bytes));
  return packed;
}

bool mirror_matches(const RunSpec& spec, const TileMap& map, Index tile,
                    std::span<const std::byte> packed, const File& file) {
  const ChunkShape chunk = chunk_shape(spec.plan, map.tile(tile).matrix);
  std::vector<std::byte> found, expected;
  for (const Piece& piece : map.pieces(tile)) {
    if (!piece.mirror_offset) continue;
    found.resize(piece.num_bytes);
    expected.resize(piece.num_bytes);
    file.read_all(*piece.mirror_offset, found);
    transpose_chunk(chunk, size_in_bytes(spec.data_type),
                    packed.subspan(piece.packed_offset, piece.num_bytes), expected);
    if (found != expected) return false;
  }
  return true;
}

}  // namespace gramtile
