#include "engine/core/tile_content.hpp"

#include <algorithm>

namespace gramtile {

const PlaneGroup* TileContent::find(std::string_view name) const {
  const auto found = std::ranges::find(planes, name, &PlaneGroup::name);
  return found == planes.end() ? nullptr : &*found;
}

Index TileContent::num_planes(Index num_parameters) const {
  Index count = 0;
  for (const PlaneGroup& group : planes) count += group.num_planes(num_parameters);
  return count;
}

TileContent content_of(bool with_kernel, Derivative derivative) {
  TileContent content;
  if (with_kernel) content.planes.push_back({.name = std::string(kKernelPlane), .prefix = ""});
  if (derivative == Derivative::kJacobian) {
    content.planes.push_back(
        {.name = std::string(kJacobianPlane), .prefix = "d", .per_parameter = true});
  }
  if (derivative == Derivative::kGradient) content.vector = kGradientVector;
  return content;
}

}  // namespace gramtile
