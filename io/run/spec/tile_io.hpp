// One packed tile to and from its places in a file.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

#include "io/files/file.hpp"
#include "io/run/spec/tile_map.hpp"

namespace gramtile {

/// Writes a packed tile and its mirror image.
void write_packed(const RunSpec& spec, const TileMap& map, Index tile,
                  std::span<const std::byte> packed, File& file);

/// Reads it back; the mirror image is left alone.
std::vector<std::byte> read_packed(const RunSpec& spec, const TileMap& map, Index tile,
                                   const File& file);

/// True when the mirror image in the file is `packed` transposed, bit for bit; true without one.
bool mirror_matches(const RunSpec& spec, const TileMap& map, Index tile,
                    std::span<const std::byte> packed, const File& file);

}  // namespace gramtile
