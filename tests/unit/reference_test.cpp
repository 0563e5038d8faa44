// The reference's pieces: relu against known values and at its edges, window sums by hand.
#include "engine/reference/reference.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>
#include <numeric>

#include "engine/activations/relu.hpp"
#include "engine/core/errors.hpp"
#include "engine/core/worst_of.hpp"
#include "engine/network/geometry.hpp"
#include "engine/reference/maps.hpp"
#include "io/network/network_json.hpp"
#include "tests/support/random_network.hpp"

namespace gramtile::reference_test {
namespace {

using reference::Map;
using std::numbers::pi;

constexpr double kUlp = 0x1p-52;

std::vector<double> constant_image(ImageShape shape, double pixel) {
  return std::vector<double>(static_cast<std::size_t>(shape.num_values()), pixel);
}

}  // namespace

TEST_CASE("relu of known angles is exact to a few roundings") {
  // θ = 0: r/2; θ = π/3: r·(√3/2 + 2π/3·½)/2π; θ = π/2: r/2π; θ = 2π/3: r·(√3/2 − π/3·½)/2π
  const double root = std::sqrt(3.0) / 2;
  CHECK(std::abs(relu_covariance(6, 4, 9).value - 3) <= 4 * kUlp * 3);
  CHECK(std::abs(relu_covariance(3, 4, 9).value - 6 * (root + pi / 3) / (2 * pi)) <= 8 * kUlp);
  CHECK(std::abs(relu_covariance(0, 4, 9).value - 6 / (2 * pi)) <= 8 * kUlp);
  CHECK(std::abs(relu_covariance(-3, 4, 9).value - 6 * (root - pi / 6) / (2 * pi)) <= 8 * kUlp);
  CHECK(relu_covariance(-6, 4, 9).value == 0);
}

TEST_CASE("relu keeps its digits where the images are almost opposite") {
  // With φ = π − θ small, f = r·(sin φ − φ·cos φ)/2π = r·φ³/6π·(1 + O(φ²)).
  const double phi = 1e-3;
  const double series = phi * phi * phi / (6 * pi) * (1 - phi * phi / 10);
  // c is rounded to kUlp/2, which moves φ by kUlp/(2φ), a relative 3·kUlp/(2φ²) of f; the terms of
  // relative size φ⁴/280 that are left out are smaller.
  const double f = relu_covariance(-std::cos(phi), 1, 1).value;
  CHECK(std::abs(f / series - 1) <= 2 * 1.5 * kUlp / (phi * phi) + 2 * kUlp / (phi * phi));
}

TEST_CASE("where a variance is 0 relu is 0, its slope a quarter and its elasticity 0") {
  for (const auto& [xx, yy] : {std::pair{0.0, 2.0}, std::pair{2.0, 0.0}, std::pair{0.0, 0.0}}) {
    const auto f = relu_covariance(0, xx, yy);
    CHECK(f.value == 0);
    CHECK(f.by_xy == 0.25);
    CHECK(f.elasticity == 0);
  }
}

TEST_CASE("covariances beyond the variances are clamped") {
  const double beyond = 1 + 1e-12;
  CHECK(relu_covariance(beyond, 1, 1).value == 0.5);
  CHECK(relu_covariance(beyond, 1, 1).by_xy == 0.5);
  CHECK(relu_covariance(beyond, 1, 1).elasticity == 0);
  CHECK(relu_covariance(-beyond, 1, 1).value == 0);
  CHECK(relu_covariance(-beyond, 1, 1).by_xy == 0);
}

TEST_CASE("variances whose product overflows or vanishes are no edge case") {
  CHECK(relu_covariance(1e200, 1e200, 1e200).value == doctest::Approx(5e199).epsilon(1e-14));
  CHECK(relu_covariance(1e-200, 1e-200, 1e-200).value == doctest::Approx(5e-201).epsilon(1e-14));
}

TEST_CASE("a window sum worked out by hand: even kernel, same padding, stride 2") {
  // Map 3×3 of 1 … 9; kernel 2, so one pixel of padding on the high side only.
  const auto geometry = WindowGeometry::square(
      {.kernel_size = 2, .stride = 2, .dilation = 1, .pad_low = 0, .pad_high = 1});
  const Map input{1, 2, 3, 4, 5, 6, 7, 8, 9};
  CHECK(output_shape(geometry, {3, 3}) == MapShape{2, 2});
  CHECK(reference::window_sum(geometry, {3, 3}, {2, 2}, input) ==
        Map{1 + 2 + 4 + 5, 3 + 6, 7 + 8, 9});
}

TEST_CASE("a window sum worked out by hand: dilation 2 and padding") {
  // Map 1×3 padded by 2; taps two pixels apart, rows outside the map are zeros.
  const auto geometry = WindowGeometry::square(
      {.kernel_size = 3, .stride = 1, .dilation = 2, .pad_low = 2, .pad_high = 2});
  CHECK(reference::window_sum(geometry, {1, 3}, {1, 3}, Map{1, 2, 4}) == Map{5, 2, 5});
}

TEST_CASE("a window sum worked out by hand: two axes, round the map") {
  // Map 2×3 of 1 … 6; windows of 2×3 start a row above and a column to the left.
  const WindowGeometry geometry{.y = {2, 1, 1, 1, 0}, .x = {3, 1, 1, 1, 1}, .circular = true};
  const Map input{1, 2, 3, 4, 5, 6};
  CHECK(reference::window_sum(geometry, {2, 3}, {2, 3}, input) == Map{21, 21, 21, 21, 21, 21});
  // Of 1×2: each pixel and its left neighbour.
  const WindowGeometry row{.x = {2, 1, 1, 1, 0}, .circular = true};
  CHECK(reference::window_sum(row, {2, 3}, {2, 3}, input) == Map{4, 3, 5, 10, 9, 11});
  // Taps 2 apart on an axis of 3: x − 2, x, x + 2, which is all of it.
  const WindowGeometry dilated{.x = {3, 1, 2, 2, 2}, .circular = true};
  CHECK(reference::window_sum(dilated, {2, 3}, {2, 3}, input) == Map{6, 6, 6, 15, 15, 15});
}

// A convolution as a matrix, every entry found by asking which tap of which window sees the pixel;
// a window that goes round sees copies of the map to all sides instead of zeros.
TEST_CASE("window sums are those of a convolution written as a matrix") {
  test::Random random(11);
  for (int i = 0; i < 300; ++i) {
    const MapShape in{.height = random.integer(1, 6), .width = random.integer(1, 6)};
    const auto axis = [&](bool same) {
      const Index k = random.integer(1, 4), dilation = random.integer(1, 2);
      const Index high = dilation * (k / 2);
      if (same) {
        return WindowAxis{k, random.integer(1, 2), dilation, k % 2 == 0 ? high - dilation : high,
                          high};
      }
      return WindowAxis{k, random.integer(1, 3), dilation, random.integer(4, 6),
                        random.integer(4, 6)};
    };
    const bool circular = random.chance(0.5);
    const WindowGeometry g{axis(circular), axis(circular), circular};
    const MapShape out = output_shape(g, in);
    Map input;
    for (Index p = 0; p < in.num_pixels(); ++p)
      input.push_back(static_cast<double>(random.integer(-9, 9)));
    const auto taps_on = [&](const WindowAxis& a, Index from, Index to, Index size) {
      Index taps = 0;
      for (Index tap = 0; tap < a.kernel_size; ++tap) {
        for (Index copy = circular ? -9 : 0; copy <= (circular ? 9 : 0); ++copy)
          taps += to * a.stride - a.pad_low + tap * a.dilation == from + copy * size;
      }
      return taps;
    };
    Map expected;
    for (Index p = 0; p < out.num_pixels(); ++p) {
      double sum = 0;
      for (Index q = 0; q < in.num_pixels(); ++q) {
        const Index taps = taps_on(g.y, q / in.width, p / out.width, in.height) *
                           taps_on(g.x, q % in.width, p % out.width, in.width);
        sum += static_cast<double>(taps) * input[static_cast<std::size_t>(q)];
      }
      expected.push_back(sum);
    }
    CAPTURE(i);
    CHECK(reference::window_sum(g, in, out, input) == expected);
  }
}

TEST_CASE("the adjoint of the window sum satisfies the dot-product test") {
  // ⟨a, S·b⟩ = ⟨Sᵀ·a, b⟩; integers, so exactly.
  test::Random random(3);
  for (Index kernel = 1; kernel <= 4; ++kernel) {
    for (Index stride = 1; stride <= 3; ++stride) {
      const MapShape in{.height = 7, .width = 5};
      const auto axis = [&](Index k, Index step) {
        return WindowAxis{.kernel_size = k,
                          .stride = step,
                          .dilation = random.integer(1, 2),
                          .pad_low = random.integer(2, 3),
                          .pad_high = random.integer(2, 3)};
      };
      const WindowGeometry geometry{.y = axis(kernel, stride),
                                    .x = axis(5 - kernel, random.integer(1, 3)),
                                    .circular = random.chance(0.5)};
      const MapShape out = output_shape(geometry, in);
      Map b(static_cast<std::size_t>(in.num_pixels())),
          a(static_cast<std::size_t>(out.num_pixels()));
      for (double& number : b) number = static_cast<double>(random.integer(-9, 9));
      for (double& number : a) number = static_cast<double>(random.integer(-9, 9));
      Map adjoint(b.size(), 0.0);
      reference::add_window_sum_adjoint(geometry, in, out, a, 1, adjoint);
      const Map sum = reference::window_sum(geometry, in, out, b);
      CHECK(std::inner_product(a.begin(), a.end(), sum.begin(), 0.0) ==
            std::inner_product(adjoint.begin(), adjoint.end(), b.begin(), 0.0));
    }
  }
}

TEST_CASE("one window and no relu: the kernel is the weighted mean product plus the bias") {
  const Network network = read_network(
      R"({"layers": [{"type": "conv2d", "kernel_size": 2, "padding": 0, "var_weight": 3,
                      "var_bias": 0.5}]})",
      "");
  const Program program = lower(network, {.channels = 2, .height = 2, .width = 2});
  const std::vector<double> x{1, 2, 3, 4, 5, 6, 7, 8}, y{1, 1, 1, 1, 2, 2, 2, 2};
  // Σ_c,p x·y = 10 + 2·26 = 62; mean over 2 channels 31; 3/4·31 + 0.5
  CHECK(reference::kernel(program, x, y) == 23.75);
  const auto [kernel, gradient] = reference::kernel_gradient(program, x, y);
  CHECK(gradient == std::vector<double>{31.0 / 4, 1});
}

TEST_CASE(
    "gradients are finite and right for black, duplicated, almost equal and opposite images") {
  const Network network = read_network(
      R"({"layers": [{"type": "conv2d", "kernel_size": 3, "var_bias": 0.5}, {"type": "relu"},
                     {"type": "conv2d", "kernel_size": 3, "var_weight": 2}, {"type": "relu"},
                     {"type": "conv2d", "kernel_size": 4, "padding": 0, "var_bias": 0.1}]})",
      "");
  const Program program = lower(network, {.channels = 1, .height = 4, .width = 4});
  test::Random random(11);
  const std::vector<double> image = test::random_image(random, program.input);
  const auto scaled = [&](double factor, double shift) {
    std::vector<double> result = image;
    for (double& pixel : result) pixel = factor * pixel + shift;
    return result;
  };
  const std::vector<double> black = constant_image(program.input, 0);
  const std::vector<std::pair<std::vector<double>, std::vector<double>>> pairs{
      {image, black},           {black, black},
      {image, image},           {image, scaled(1 + 1e-8, 0)},
      {image, scaled(1, 1e-8)}, {image, scaled(-1, 0)},
      {image, scaled(-1, 1e-8)}};
  for (const auto& [x, y] : pairs) {
    const auto [kernel, gradient] = reference::kernel_gradient(program, x, y);
    CHECK(std::isfinite(kernel));
    for (std::size_t p = 0; p < gradient.size(); ++p) {
      CAPTURE(program.parameters[p].name);
      REQUIRE(std::isfinite(gradient[p]));
      // Central difference: truncation h²·K‴/6, where K is smooth in variances of order 1, and
      // rounding 1e-14·K/h; 1e-7 covers both at h = 1e-5 where c stays away from ±1, and K, as a
      // function of variances that keep equal images equal, is smooth at c = 1 too.
      const double h = 1e-5;
      const auto at = [&](double delta) {
        return reference::kernel(
            test::with_shifted_parameter(program, static_cast<Index>(p), delta), x, y);
      };
      CHECK(std::abs((at(h) - at(-h)) / (2 * h) - gradient[p]) <= 1e-7 * std::max(1.0, kernel));
    }
  }
}

TEST_CASE("the gradient of two equal images is that of the diagonal") {
  // sin θ and θ of the same rounded c are each off by √u, but cancel to θ³. What is left are the
  // roundings of some hundred sums and products: 1e-12 is 9000 of them.
  for (std::uint64_t seed = 100; seed < 120; ++seed) {
    CAPTURE(seed);
    const test::RandomCase random_case = test::random_case(seed);
    const Program program = random_case.program();
    test::Random random(seed);
    const std::vector<double> x = test::random_image(random, random_case.shape);
    const auto diagonal = reference::kernel_diagonal_gradient(program, x);
    const auto entry = reference::kernel_gradient(program, x, x);
    double largest = 0;
    for (const double derivative : diagonal.gradient) {
      largest = worst_of(largest, std::abs(derivative));
    }
    for (std::size_t p = 0; p < diagonal.gradient.size(); ++p) {
      CHECK(std::abs(entry.gradient[p] - diagonal.gradient[p]) <= 1e-12 * largest);
    }
  }
}

TEST_CASE("a black image without biases has kernel 0 and finite gradients") {
  const Network network = read_network(
      R"({"layers": [{"type": "conv2d", "kernel_size": 3}, {"type": "relu"},
                     {"type": "conv2d", "kernel_size": 4, "padding": 0}]})",
      "");
  const Program program = lower(network, {.channels = 1, .height = 4, .width = 4});
  const auto black = constant_image(program.input, 0);
  const auto grey = constant_image(program.input, 0.5);
  const auto [kernel, gradient] = reference::kernel_gradient(program, black, grey);
  CHECK(kernel == 0);
  CHECK(gradient == std::vector<double>{0, 0});
}

TEST_CASE("var_weight 0 has the derivative of its window sum") {
  const Network network = read_network(
      R"({"layers": [{"type": "conv2d", "kernel_size": 2, "padding": 0, "var_weight": 0}]})", "");
  const Program program = lower(network, {.channels = 1, .height = 2, .width = 2});
  const std::vector<double> x{1, 2, 3, 4};
  CHECK(reference::kernel_gradient(program, x, x).gradient == std::vector<double>{30.0 / 4});
}

TEST_CASE("an image of another size is refused") {
  const Program program = lower(Network{.name = "", .parameters = {}, .layers = {}},
                                {.channels = 1, .height = 1, .width = 1});
  const std::vector<double> one{2}, two{1, 2};
  CHECK(reference::kernel(program, one, one) == 4);
  CHECK_THROWS_AS(reference::kernel(program, one, two), Error);
  CHECK_THROWS_AS(reference::kernel(program, two, one), Error);
}

}  // namespace gramtile::reference_test
