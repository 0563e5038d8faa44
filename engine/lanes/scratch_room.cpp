#include "engine/lanes/scratch_room.hpp"

#include <algorithm>

namespace gramtile {

ScratchPlace ScratchRoom::of(const MapShape& input, const MapShape& output) {
  return {.rows = input.height, .stride = sums_stride(output)};
}

ScratchPlace ScratchRoom::of_ring(const LaneStep& step) {
  const Index height = step.input.height;
  const Index rows = std::min(step.geometry.y.reach() + 1, height);
  return {.rows = step.geometry.circular ? height : rows, .stride = step.output.width};
}

ScratchPlace ScratchRoom::of_transposed(const LaneStep& step) {
  return {.rows = step.output.height, .stride = step.input.width};
}

void ScratchRoom::include(const ScratchPlace& place) {
  largest_ = std::max(largest_, place.extent());
}

Index ScratchRoom::place_behind(const ScratchPlace& place, const ScratchPlace& previous,
                                const WindowGeometry& geometry) const {
  if (geometry.circular) return place_apart(place, previous);
  const Index rows_behind = geometry.y.pad_low + (place.stride == previous.stride ? 0 : kGroupRows);
  const Index behind = previous.offset - rows_behind * previous.stride;
  const Index below = std::min(size() - place.extent(), behind);
  if (place.stride <= previous.stride && below >= 0) return below;
  return place_apart(place, previous);
}

Index ScratchRoom::place_apart(const ScratchPlace& place, const ScratchPlace& previous) const {
  const Index top = size() - place.extent();
  return previous.end() <= top ? top : 0;  // of three thirds, `previous` leaves one end free
}

}  // namespace gramtile
