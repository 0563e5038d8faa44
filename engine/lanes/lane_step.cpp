// Out of line: inline functions that kernels share would be compiled once per instruction set, and
// the linker keeps any one of them.
#include "engine/lanes/lane_step.hpp"

namespace gramtile {

bool is_unit_window(const WindowGeometry& g) {
  const Index k = g.kernel_size;
  return g.stride == 1 && g.dilation == 1 && (k == 2 || k == 3 || k == 4 || k == 5 || k == 7) &&
         g.pad_low < k && g.pad_high <= k;
}

bool is_whole_window(const WindowGeometry& g, const MapShape& input, const MapShape& output) {
  return output == MapShape{1, 1} && g.pad_low == 0 && g.dilation == 1 &&
         g.kernel_size == input.height && g.kernel_size == input.width;
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
  return step.input == step.output &&
         (step.geometry.kernel_size - 1) * step.geometry.dilation >= step.geometry.pad_low;
}

}  // namespace gramtile
