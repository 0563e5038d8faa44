// The order in which values are handed between lanes of a pack and single images.
#pragma once

#include <algorithm>

#include "engine/core/index.hpp"

namespace gramtile {

/// Values that for_each_lane() hands over at once, at most.
inline constexpr Index kLaneRange = 256;

/// do_it(range, lane): every lane of a range of values before the next range, so that what the
/// lanes of a pack share of it lies in the innermost cache.
template <class Do>
void for_each_lane(Index num_values, Index num_lanes, const Do& do_it) {
  for (Index start = 0; start < num_values; start += kLaneRange) {
    const Range range{start, std::min(start + kLaneRange, num_values)};
    for (Index lane = 0; lane < num_lanes; ++lane) do_it(range, lane);
  }
}

}  // namespace gramtile
