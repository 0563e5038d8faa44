// Out of line: inline functions that kernels share would be compiled once per instruction set, and
// the linker keeps any one of them.
#include "engine/lanes/lane_step.hpp"

namespace gramtile {

namespace {

bool is_unit(const WindowAxis& axis) {
  const Index k = axis.kernel_size;
  return axis.stride == 1 && axis.dilation == 1 &&
         (k == 2 || k == 3 || k == 4 || k == 5 || k == 7) && axis.pad_low < k && axis.pad_high <= k;
}

bool is_whole(const WindowAxis& axis, Index size) {
  return axis.pad_low == 0 && axis.dilation == 1 && axis.kernel_size == size;
}

}  // namespace

bool is_unit_window(const WindowGeometry& g) { return is_unit(g.y) && is_unit(g.x); }

bool is_whole_window(const WindowGeometry& g, const MapShape& input, const MapShape& output) {
  return output == MapShape{1, 1} && !g.circular && is_whole(g.y, input.height) &&
         is_whole(g.x, input.width);
}

bool reads_relu(const LaneStep& step) {
  return step.source == RowSource::kRelu || step.source == RowSource::kReluNonneg;
}

bool reads_variances(const LaneStep& step) {
  return reads_relu(step) || step.source == RowSource::kPoint;
}

bool sums_whole_map(const LaneStep& step) {
  return !step.pointwise() && is_whole_window(step.geometry, step.input, step.output);
}

bool can_run_in_place(const LaneStep& step) {
  if (step.pointwise() || sums_whole_map(step)) return true;
  const WindowAxis& y = step.geometry.y;
  return step.input == step.output && (step.geometry.circular || y.reach() >= y.pad_low);
}

}  // namespace gramtile
