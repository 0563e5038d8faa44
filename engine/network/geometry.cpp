#include "engine/network/geometry.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "engine/core/errors.hpp"

namespace gramtile {
namespace {

void check_range(const PerAxis& values, Index least, std::string_view key, const Path& path) {
  for (const Index value : {values.y, values.x}) {
    if (value >= least && value <= kMaxGeometry) continue;
    throw NetworkError(path.at(key).text(), fmt::format("must be between {} and {}, found {}",
                                                        least, kMaxGeometry, value));
  }
}

Index padded(const WindowAxis& axis, Index size) { return size + axis.pad_low + axis.pad_high; }

Index output_size(const WindowAxis& axis, Index size) {
  return (padded(axis, size) - axis.reach() - 1) / axis.stride + 1;
}

void check_fit(const WindowGeometry& geometry, MapShape input, const Path& path) {
  const Index height = padded(geometry.y, input.height), width = padded(geometry.x, input.width);
  const Index rows = geometry.y.reach() + 1, columns = geometry.x.reach() + 1;
  if (rows > height || columns > width) {
    throw NetworkError(path.at("kernel_size").text(),
                       fmt::format("a window of {}×{} pixels does not fit maps of {}×{} ({}×{} "
                                   "with padding)",
                                   rows, columns, input.height, input.width, height, width));
  }
  // Neither factor exceeds 2⁴², and the first comparison keeps the product in range.
  if (height > kMaxMapPixels || width > kMaxMapPixels || height * width > kMaxMapPixels) {
    throw NetworkError(path.at("padding").text(),
                       fmt::format("maps of {}×{} with padding have more than {} pixels", height,
                                   width, kMaxMapPixels));
  }
}

// Padding that keeps the size at stride 1.
void pad_to_same(WindowAxis& axis) {
  const bool even = axis.kernel_size % 2 == 0;
  axis.pad_high = axis.dilation * (axis.kernel_size / 2);
  axis.pad_low = axis.pad_high - (even ? axis.dilation : 0);
}

bool is_padded(const WindowAxis& axis) { return axis.pad_low > 0 || axis.pad_high > 0; }

}  // namespace

WindowGeometry window_geometry(const Conv2d& conv, MapShape input, const Path& path) {
  check_range(conv.kernel_size, 1, "kernel_size", path);
  check_range(conv.stride, 1, "stride", path);
  check_range(conv.dilation, 1, "dilation", path);
  check_range(conv.padding.amount, 0, "padding", path);
  WindowGeometry geometry{.y = {conv.kernel_size.y, conv.stride.y, conv.dilation.y},
                          .x = {conv.kernel_size.x, conv.stride.x, conv.dilation.x}};
  if (conv.padding.kind == Padding::Kind::kZeros) {
    geometry.y.pad_low = geometry.y.pad_high = conv.padding.amount.y;
    geometry.x.pad_low = geometry.x.pad_high = conv.padding.amount.x;
  } else {
    pad_to_same(geometry.y);
    pad_to_same(geometry.x);
  }
  geometry.circular = conv.padding.kind == Padding::Kind::kCircular &&
                      (is_padded(geometry.y) || is_padded(geometry.x));
  check_fit(geometry, input, path);
  return geometry;
}

WindowGeometry whole_map(MapShape input) {
  return {.y = {.kernel_size = input.height}, .x = {.kernel_size = input.width}};
}

MapShape output_shape(const WindowGeometry& geometry, MapShape input) {
  return {.height = output_size(geometry.y, input.height),
          .width = output_size(geometry.x, input.width)};
}

}  // namespace gramtile
