// Window sums on lanes against naive sums. A sum of n terms in any order is off by at most
// (n − 1)·u·Σ|terms|, and here every term passes at most k additions along each axis:
// 2k·u·Σ|terms|, and two roundings for weight and bias.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <string>

#include "engine/network/geometry.hpp"
#include "engine/reference/maps.hpp"
#include "tests/support/hand_lanes.hpp"
#include "tests/support/lane_runs.hpp"
#include "tests/support/rounding_bound.hpp"

namespace gramtile::test::lanes_window_test {
namespace {

using reference::Map;

template <class T>
constexpr DataType kTypeOf = sizeof(T) == 4 ? DataType::kFloat32 : DataType::kFloat64;

bool fits(const WindowAxis& axis, Index size) {
  return size + axis.pad_low + axis.pad_high > axis.reach();
}
bool fits(const WindowGeometry& g, MapShape shape) {
  return fits(g.y, shape.height) && fits(g.x, shape.width);
}

std::string description(const WindowGeometry& g, MapShape in) {
  const auto text = [](const WindowAxis& axis) {
    return fmt::format("kernel {}, stride {}, dilation {}, padding {} and {}", axis.kernel_size,
                       axis.stride, axis.dilation, axis.pad_low, axis.pad_high);
  };
  return fmt::format("{} × {}: along y {}; along x {}{}", in.height, in.width, text(g.y), text(g.x),
                     g.circular ? "; circular" : "");
}

// A chain of plain window sums; every map is kept.
Program chain(MapShape shape, const std::vector<WindowGeometry>& geometries) {
  Program program;
  program.input = {.channels = 1, .height = shape.height, .width = shape.width};
  program.values = {{shape}};
  for (const WindowGeometry& g : geometries) {
    Conv2dOp op{.input = program.output,
                .output = program.output + 1,
                .geometry = g,
                .weight = {},
                .bias = {}};
    op.weight.value = static_cast<double>(g.num_taps());
    program.ops.push_back(op);
    program.values.push_back({output_shape(g, program.values.back().shape)});
    ++program.output;
  }
  return program;
}

// Lane l holds the images of lane 0 times ±2^(l mod 4), so its sums must be those of lane 0,
// scaled.
template <class T>
T lane_factor(std::size_t lane) {
  return std::ldexp(lane % 2 == 0 ? T(1) : T(-1), static_cast<int>(lane % 4));
}

template <class T>
void fill(HandLanes<T>& run, Random& random, std::size_t num_pixels) {
  const std::size_t lanes = HandLanes<T>::lanes();
  for (std::size_t p = 0; p < num_pixels; ++p) {
    run.row()[p] = 1;
    const T value = static_cast<T>(random.normal());
    for (std::size_t l = 0; l < lanes; ++l) run.pack()[p * lanes + l] = value * lane_factor<T>(l);
  }
}

template <class T>
Map lane_map(std::span<const T> values, MapShape shape, std::size_t lane) {
  Map map;
  for (Index y = 0; y < shape.height; ++y) {
    for (Index x = 0; x < shape.width; ++x) {
      const auto pixel = static_cast<std::size_t>(pixel_row(shape, y)[x]);
      map.push_back(static_cast<double>(values[pixel * HandLanes<T>::lanes() + lane]));
    }
  }
  return map;
}

// `result` is the window sum of `input`, pixel for pixel.
template <class T>
void check_sum(const WindowGeometry& g, MapShape in, MapShape out, const Map& input,
               const Map& result) {
  Map magnitudes = input;
  for (double& value : magnitudes) value = std::abs(value);
  const Map exact = reference::window_sum(g, in, out, input);
  const Map terms = reference::window_sum(g, in, out, magnitudes);
  // The naive sum rounds too, in double: as many additions as there are taps.
  const auto along_axes = static_cast<double>(g.y.kernel_size + g.x.kernel_size);
  const double bound =
      (along_axes + 2) * unit_rounding(kTypeOf<T>) + static_cast<double>(g.num_taps()) * 0x1p-53;
  for (std::size_t p = 0; p < exact.size(); ++p) {
    CAPTURE(p);
    REQUIRE(std::abs(result[p] - exact[p]) <= bound * terms[p]);
  }
}

template <class T>
void check_chain(MapShape shape, const std::vector<WindowGeometry>& geometries, Random& random) {
  const Program program = chain(shape, geometries);
  const LaneProgram kept = compile_lanes(program, true), shared = compile_lanes(program, false);
  HandLanes<T> run(kept);
  fill(run, random, static_cast<std::size_t>(shape.num_pixels()));
  run.run();
  Map input = lane_map<T>(run.pack(), shape, 0);
  for (std::size_t i = 0; i < geometries.size(); ++i) {
    CAPTURE(i);
    const MapShape in = program.values[i].shape, out = program.values[i + 1].shape;
    INFO(description(geometries[i], in));
    const std::span<const T> map = run.slot(kept.value_slots[i + 1]);
    const Map result = lane_map(map, out, 0);
    check_sum<T>(geometries[i], in, out, input, result);
    for (std::size_t lane = 0; lane < HandLanes<T>::lanes(); ++lane) {
      Map scaled = result;
      for (double& value : scaled) value *= static_cast<double>(lane_factor<T>(lane));
      REQUIRE(lane_map(map, out, lane) == scaled);
    }
    input = result;
  }
  // With slots shared, outputs overwrite inputs: the same bits.
  HandLanes<T> again(shared);
  // Pixels come first; what a tape needs besides is not there.
  std::copy_n(run.row().begin(), again.row().size(), again.row().begin());
  std::copy_n(run.pack().begin(), again.pack().size(), again.pack().begin());
  again.run();
  const MapShape out = program.values.back().shape;
  REQUIRE(lane_map(again.output(), out, 0) == lane_map(run.output(), out, 0));
}

// Padding "same" of one window size: even windows reach further to the high side.
WindowAxis same_axis(Index k, Index stride, Index dilation) {
  const Index high = dilation * (k / 2);
  return {k, stride, dilation, k % 2 == 0 ? high - dilation : high, high};
}
WindowGeometry same(Index k, Index stride, Index dilation) {
  return WindowGeometry::square(same_axis(k, stride, dilation));
}
WindowGeometry padded(Index k, Index padding, Index stride = 1, Index dilation = 1) {
  return WindowGeometry::square({k, stride, dilation, padding, padding});
}

WindowAxis random_axis(Random& random, bool keeps_size) {
  const Index k = random.integer(1, 9), stride = random.integer(1, 3);
  const Index dilation = random.integer(1, 3);
  if (keeps_size) return same_axis(k, random.chance(0.7) ? 1 : stride, dilation);
  const Index padding = random.integer(0, random.chance(0.2) ? 3 * k + 2 : k / 2 + 1);
  return {k, stride, dilation, padding, padding};
}

/// Alike along both axes or not; zeros around the map, or the map again.
WindowGeometry random_geometry(Random& random) {
  const bool keeps_size = random.chance(0.5);
  const WindowAxis y = random_axis(random, keeps_size);
  const WindowAxis x = random.chance(0.5) ? y : random_axis(random, keeps_size);
  return {y, x, keeps_size && y.kernel_size * x.kernel_size > 1 && random.chance(0.5)};
}

TEST_CASE_TEMPLATE("window sums of 1 to 9 and 28 agree with naive sums for every width to 33", T,
                   float, double) {
  Random random(1);
  for (const Index k : {1, 2, 3, 4, 5, 6, 7, 8, 9, 28}) {
    for (Index width = 1; width <= 33; ++width) {
      const MapShape shape{.height = 1 + (5 * width + k) % 12, .width = width};
      for (const WindowGeometry& g :
           {same(k, 1, 1), padded(k, 0), padded(k, k - 1), padded(k, k)}) {
        if (fits(g, shape)) check_chain<T>(shape, {g}, random);
      }
    }
  }
}

TEST_CASE_TEMPLATE("one window over the whole map is its sum, for every size to 33", T, float,
                   double) {
  Random random(2);
  for (Index size = 1; size <= 33; ++size) {
    for (const Index width : {size, size / 2 + 1, 34 - size})
      check_chain<T>({size, width}, {{.y = {size}, .x = {width}}}, random);
  }
}

TEST_CASE_TEMPLATE("unit windows of every two sizes and paddings agree with naive sums", T, float,
                   double) {
  Random random(4);
  const Index sizes[] = {1, 2, 3, 4, 5, 6, 7, 8};
  for (const Index ky : sizes) {
    for (const Index kx : sizes) {
      for (const MapShape shape : {MapShape{1, 1}, {3, 13}, {13, 3}, {8, 8}, {9, 26}, {2, 7}}) {
        const WindowAxis y = same_axis(ky, 1, 1), x = same_axis(kx, 1, 1);
        const WindowAxis valid_y{ky}, valid_x{kx}, wide_y{ky, 1, 1, ky - 1, ky};
        for (const WindowGeometry& g : {WindowGeometry{y, x}, WindowGeometry{valid_y, x},
                                        WindowGeometry{y, valid_x}, WindowGeometry{wide_y, x}}) {
          if (fits(g, shape)) check_chain<T>(shape, {g, {y, x}}, random);
        }
        if (ky * kx > 1) check_chain<T>(shape, {{y, x, true}, {x, y, true}}, random);
      }
    }
  }
}

TEST_CASE_TEMPLATE("windows that go round maps of every size agree with naive sums", T, float,
                   double) {
  Random random(5);
  for (const Index k : {2, 3, 4, 5, 6, 7, 9}) {
    for (Index width = 1; width <= 33; ++width) {
      const MapShape shape{.height = 1 + (5 * width + k) % 12, .width = width};
      for (const Index stride : {1, 2}) {
        for (const Index dilation : {1, 3}) {
          WindowGeometry g = same(k, stride, dilation);
          g.circular = true;
          check_chain<T>(shape, {g}, random);
        }
      }
    }
  }
}

TEST_CASE_TEMPLATE("padding beyond the window sums nothing out there", T, float, double) {
  Random random(3);
  for (const Index k : {1, 2, 3, 5, 7, 8}) {
    for (const Index padding : {k + 1, 2 * k, 3 * k + 5, Index{40}}) {
      check_chain<T>({3, 5}, {padded(k, padding)}, random);
      check_chain<T>({4, 1}, {padded(k, padding, 3, 2)}, random);
    }
  }
}

TEST_CASE_TEMPLATE(
    "chains of strides, dilations and paddings agree with naive sums, slots shared or not", T,
    float, double) {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    Random random(seed);
    const MapShape shape{.height = random.integer(1, 20), .width = random.integer(1, 20)};
    std::vector<WindowGeometry> geometries;
    MapShape reached = shape;
    for (int i = 0; i < 4; ++i) {
      const WindowGeometry g = random_geometry(random);
      if (!fits(g, reached)) continue;
      reached = output_shape(g, reached);
      geometries.push_back(g);
    }
    if (!geometries.empty()) check_chain<T>(shape, geometries, random);
  }
}

TEST_CASE_TEMPLATE("window sums of a black image are exactly zero", T, float, double) {
  for (const Index k : {1, 2, 3, 4, 5, 6, 7, 8}) {
    const LaneProgram program = compile_lanes(chain({9, 11}, {same(k, 1, 1)}), false);
    HandLanes<T> run(program);
    for (std::size_t p = 0; p < 99; ++p) run.row()[p] = 1;
    run.run();
    for (std::size_t n = 0; n < 99 * HandLanes<T>::lanes(); ++n) REQUIRE(run.output()[n] == 0);
  }
}

}  // namespace
}  // namespace gramtile::test::lanes_window_test
