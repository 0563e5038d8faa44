// A part of a run's tiles.
#pragma once

#include "engine/core/index.hpp"

namespace gramtile {

/// Share `index` of `count` of the tiles, in a file of its own (docs/file_format.md, "Shares").
struct Shard {
  Index index = 0;
  Index count = 1;
};

}  // namespace gramtile
