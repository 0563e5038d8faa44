#include "engine/network/geometry.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "engine/core/errors.hpp"

namespace gramtile {
namespace {

void check_range(Index value, Index least, std::string_view key, const Path& path) {
  if (value < least || value > kMaxGeometry) {
    throw NetworkError(path.at(key).text(), fmt::format("must be between {} and {}, found {}",
                                                        least, kMaxGeometry, value));
  }
}

// Pixels that the window spans per axis, gaps included.
Index window_extent(const WindowGeometry& geometry) {
  return geometry.dilation * (geometry.kernel_size - 1) + 1;
}

Index padded(const WindowGeometry& geometry, Index size) {
  return size + geometry.pad_low + geometry.pad_high;
}

// (size + low + high − dilation·(k − 1) − 1) / stride + 1
Index output_size(const WindowGeometry& geometry, Index size) {
  return (padded(geometry, size) - window_extent(geometry)) / geometry.stride + 1;
}

void check_fit(const WindowGeometry& geometry, MapShape input, const Path& path) {
  const Index height = padded(geometry, input.height);
  const Index width = padded(geometry, input.width);
  const Index window = window_extent(geometry);
  if (window > std::min(height, width)) {
    throw NetworkError(
        path.at("kernel_size").text(),
        fmt::format(
            "a window of {0}×{0} pixels does not fit maps of {1}×{2} ({3}×{4} with padding)",
            window, input.height, input.width, height, width));
  }
  // Neither factor exceeds 2⁴², and the first comparison keeps the product in range.
  if (height > kMaxMapPixels || width > kMaxMapPixels || height * width > kMaxMapPixels) {
    throw NetworkError(path.at("padding").text(),
                       fmt::format("maps of {}×{} with padding have more than {} pixels", height,
                                   width, kMaxMapPixels));
  }
}

}  // namespace

WindowGeometry window_geometry(const Conv2d& conv, MapShape input, const Path& path) {
  check_range(conv.kernel_size, 1, "kernel_size", path);
  check_range(conv.stride, 1, "stride", path);
  check_range(conv.dilation, 1, "dilation", path);
  check_range(conv.padding.value_or(0), 0, "padding", path);
  WindowGeometry geometry{
      .kernel_size = conv.kernel_size, .stride = conv.stride, .dilation = conv.dilation};
  if (conv.padding) {
    geometry.pad_low = geometry.pad_high = *conv.padding;
  } else {
    const bool even = conv.kernel_size % 2 == 0;
    geometry.pad_high = conv.dilation * (conv.kernel_size / 2);
    geometry.pad_low = geometry.pad_high - (even ? conv.dilation : 0);
  }
  check_fit(geometry, input, path);
  return geometry;
}

MapShape output_shape(const WindowGeometry& geometry, MapShape input) {
  return {.height = output_size(geometry, input.height),
          .width = output_size(geometry, input.width)};
}

}  // namespace gramtile
