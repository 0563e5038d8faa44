#include "engine/lanes/sums_room.hpp"

#include <algorithm>

namespace gramtile {

SumsPlace SumsRoom::of(const MapShape& input, const MapShape& output) {
  return {.rows = input.height, .stride = sums_stride(output)};
}

void SumsRoom::include(const SumsPlace& place) { largest_ = std::max(largest_, place.extent()); }

Index SumsRoom::place_behind(const SumsPlace& place, const SumsPlace& previous,
                             Index pad_low) const {
  const Index top = size() - place.extent();
  const Index below = std::min(top, previous.offset - pad_low * previous.stride);
  if (place.stride <= previous.stride && below >= 0) return below;
  return previous.offset + previous.extent() <= top ? top : 0;
}

}  // namespace gramtile
