// How far to go along a direction: to where the function has fallen enough and is flat enough (the
// strong conditions of Wolfe).
#pragma once

#include <functional>
#include <optional>

#include "engine/train/optimiser.hpp"

namespace gramtile {

/// A point of the line: `t` times the direction.
struct LinePoint {
  double t = 0;
  double slope = 0;  ///< along the direction
  Evaluation at;
};

/// Nocedal and Wright (2006), algorithms 3.5 and 3.6, as one loop: `low` is the best point that
/// fell enough, and the end is between it and `high`, once there is one. `start.slope` < 0. The
/// first try is at `first`, none is beyond `longest`, where falling is enough. Of at most 20 tries
/// the best that fell enough is taken; nothing: none did.
std::optional<LinePoint> search_line(const LinePoint& start,
                                     const std::function<LinePoint(double t)>& evaluate,
                                     double first, double longest);

}  // namespace gramtile
