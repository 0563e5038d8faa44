#include "engine/reference/maps.hpp"

#include <algorithm>

namespace gramtile::reference {
namespace {

// Taps of the window along one axis, of `size` pixels, for output `position`: input pixel
// first + dilation·t, for t in the range; all of them, or those that lie inside the map.
struct Taps {
  Index first;
  Range range;
};

Taps taps_of(const WindowAxis& axis, bool circular, Index position, Index size) {
  const Index first = position * axis.stride - axis.pad_low, dilation = axis.dilation;
  if (circular) return {first, {0, axis.kernel_size}};
  // first + dilation·t ≥ 0 and < size
  const Index start = first < 0 ? (-first + dilation - 1) / dilation : 0;
  const Index stop = first < size ? (size - first + dilation - 1) / dilation : 0;
  return {first, {start, std::clamp(stop, start, std::max(start, axis.kernel_size))}};
}

// Calls visit(output pixel, input pixel) for every tap of every window that does not see zeros
// around the map.
template <class Visit>
void for_each_tap(const WindowGeometry& geometry, MapShape input, MapShape output, Visit visit) {
  for (Index row = 0; row < output.height; ++row) {
    const Taps rows = taps_of(geometry.y, geometry.circular, row, input.height);
    for (Index column = 0; column < output.width; ++column) {
      const Taps columns = taps_of(geometry.x, geometry.circular, column, input.width);
      for (Index i = rows.range.start; i < rows.range.stop; ++i) {
        for (Index j = columns.range.start; j < columns.range.stop; ++j) {
          const Index from_row = wrapped(rows.first + geometry.y.dilation * i, input.height);
          const Index from_column = wrapped(columns.first + geometry.x.dilation * j, input.width);
          visit(static_cast<std::size_t>(row * output.width + column),
                static_cast<std::size_t>(from_row * input.width + from_column));
        }
      }
    }
  }
}

// mean_c x[c, p]·y[c, p]
Map mean_product(ImageShape shape, std::span<const double> x, std::span<const double> y) {
  const std::size_t num_pixels = static_cast<std::size_t>(shape.num_pixels());
  Map result(num_pixels, 0.0);
  for (std::size_t i = 0; i < x.size(); ++i) {
    result[i % num_pixels] += x[i] * y[i] / static_cast<double>(shape.channels);
  }
  return result;
}

}  // namespace

PairMaps PairMaps::zeros(MapShape shape) {
  const Map zero(static_cast<std::size_t>(shape.num_pixels()), 0.0);
  return {zero, zero, zero};
}

PairMaps input_maps(ImageShape shape, std::span<const double> x, std::span<const double> y) {
  return {mean_product(shape, x, y), mean_product(shape, x, x), mean_product(shape, y, y)};
}

Map window_sum(const WindowGeometry& geometry, MapShape input_shape, MapShape output_shape,
               const Map& input) {
  Map output(static_cast<std::size_t>(output_shape.num_pixels()), 0.0);
  for_each_tap(geometry, input_shape, output_shape,
               [&](std::size_t to, std::size_t from) { output[to] += input[from]; });
  return output;
}

void add_window_sum_adjoint(const WindowGeometry& geometry, MapShape input_shape,
                            MapShape output_shape, const Map& output_adjoint, double factor,
                            Map& input_adjoint) {
  for_each_tap(geometry, input_shape, output_shape, [&](std::size_t to, std::size_t from) {
    input_adjoint[from] += factor * output_adjoint[to];
  });
}

}  // namespace gramtile::reference
