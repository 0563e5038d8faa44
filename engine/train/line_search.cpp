#include "engine/train/line_search.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace gramtile {
namespace {

constexpr double kFallsEnough = 1e-4, kFlatEnough = 0.9;
constexpr int kMostTries = 20;

/// Where the parabola through `low`, its slope and `high` is lowest; in the middle eight tenths.
double between(const LinePoint& low, const LinePoint& high) {
  const double width = high.t - low.t;
  double part = 0.5;
  if (std::isfinite(high.at.value)) {
    const double rise = high.at.value - low.at.value - low.slope * width;
    if (rise > 0) part = -low.slope * width / (2 * rise);
  }
  return low.t + std::clamp(part, 0.1, 0.9) * width;
}

}  // namespace

std::optional<LinePoint> search_line(const LinePoint& start,
                                     const std::function<LinePoint(double t)>& evaluate,
                                     double first, double longest) {
  LinePoint low = start;
  std::optional<LinePoint> high;
  double t = std::min(first, longest);
  for (int i = 0; i < kMostTries; ++i) {
    LinePoint here = evaluate(t);
    const bool falls = std::isfinite(here.at.value) && std::isfinite(here.slope) &&
                       here.at.value <= start.at.value + kFallsEnough * t * start.slope &&
                       here.at.value < low.at.value;
    if (!falls) {
      high = std::move(here);
    } else {
      const bool flat = std::abs(here.slope) <= -kFlatEnough * start.slope;
      if (flat || (!high && t >= longest && here.slope < 0)) return here;
      if (here.slope * (here.t - low.t) >= 0) high = std::move(low);
      low = std::move(here);
    }
    t = high ? between(low, *high) : std::min(4 * t, longest);
  }
  if (low.t > 0) return low;
  return std::nullopt;
}

}  // namespace gramtile
