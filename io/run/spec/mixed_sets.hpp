// Which instruction set made which tile, where several took part in one file: shares of unlike
// processors merged, or a run continued on another one, both on request
// (--mixed-instruction-sets). K then differs from that of a single set in its last digits, within
// the promised accuracy, and the file says which tile is whose (docs/file_format.md, §8).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/core/index.hpp"

namespace gramtile {

struct MixedSets {
  /// Names in the order in which they came, ("AVX3", "AVX2"); empty: one set made everything.
  std::vector<std::string> names;
  /// By tile of the file: index of the name, kUnknown before the run is finished.
  std::vector<std::int8_t> by_tile;

  static constexpr std::int8_t kUnknown = -1;
  static constexpr std::size_t kMaxNames = 100;

  bool empty() const { return names.empty(); }
  /// Index of `name`, which is added where it is new. Throws Error(kOther) beyond kMaxNames.
  std::int8_t index_of(const std::string& name);
  /// Of the file's tile number `position`.
  std::int8_t at(Index position) const {
    return by_tile.empty() ? kUnknown : by_tile[static_cast<std::size_t>(position)];
  }
};

/// "AVX3, AVX2"
std::string joined(const std::vector<std::string>& names);
/// "AVX3 40 tiles, AVX2 32 tiles": what each made, and how many are unknown.
std::string describe(const MixedSets& mixture);

/// Names of the attribute and of the dataset, here and in docs/file_format.md.
inline constexpr const char* kInstructionSetsName = "instruction_sets";
inline constexpr const char* kTileInstructionSetName = "tile_instruction_set";

}  // namespace gramtile
