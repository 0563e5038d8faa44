// Deep networks against the promise (engine/network/promised_accuracy.hpp), by their number of
// layers: it grows with the number of relus in a row past 50. n times conv, relu, then a window
// over the whole map; with contracting, critical and expanding weights, with a weight of 0, with
// and without biases; on images of their own kinds: any, without a negative pixel, and almost
// equal.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <string>

#include "engine/core/worst_of.hpp"
#include "engine/network/promised_accuracy.hpp"
#include "engine/reference/cosine_sensitivity.hpp"
#include "engine/reference/reference.hpp"
#include "io/network/network_json.hpp"
#include "tests/support/gradient_runs.hpp"
#include "tests/support/rounding_bound.hpp"
#include "tests/support/short_form.hpp"

namespace gramtile::test::deep_networks_test {
namespace {

constexpr Index kSize = 3;
constexpr ImageShape kShape{.channels = 1, .height = kSize, .width = kSize};

Network deep_network(Index depth, double weight, double bias) {
  return read_network(fmt::format(R"({{"layers": [{{"type": "repeat", "times": {}, "layers": [
                      {{"type": "conv2d", "kernel_size": 3, "var_weight": {}, "var_bias": {}}},
                      {{"type": "relu"}}]}},
                    {{"type": "conv2d", "kernel_size": {}, "padding": 0, "var_weight": 1.3}}]}})",
                                  depth, weight, bias, kSize),
                      "");
}

std::vector<MatrixImages> kinds_of_images() {
  const Images any = random_images(7, kShape, 3);
  Images positive = any, near{kShape, {}};
  for (double& pixel : positive.pixels) pixel = std::abs(pixel);
  for (const double change : {0.0, 1e-3, 1e-6}) {
    std::vector<double> image(any[0].begin(), any[0].end());
    image[3] += change;
    image[7] -= change;
    near.append(image);
  }
  std::vector<MatrixImages> kinds;
  for (const Images& images : {any, positive, near}) {
    const Images first{kShape, {images[0].begin(), images[0].end()}};
    kinds.push_back(MatrixImages::cross(first, images));
  }
  return kinds;
}

/// What the reference makes of one row of pairs, once for both types.
struct Expected {
  Expected(const Program& program, const MatrixImages& images)
      : jacobian(reference_jacobian(program, images)), largest(program.parameters.size()) {
    const auto deviation = [&](std::span<const double> image) {
      return std::sqrt(reference::kernel_diagonal(program, image));
    };
    const double of_row = deviation(images.rows[0]);
    for (Index j = 0; j < images.num_columns(); ++j) {
      kernel.push_back(reference::kernel(program, images.rows[0], images.column(j)));
      scale.push_back(of_row * deviation(images.column(j)));
    }
    for (std::size_t at = 0; at < jacobian.size(); ++at) {
      double& most = largest[at / kernel.size()];
      most = worst_of(most, std::abs(jacobian[at]));
    }
  }

  std::vector<double> kernel, scale;  // [M]
  std::vector<double> jacobian;       // [P, M]
  std::vector<double> largest;        // [P], of the jacobian's entries
};

/// Largest errors, as parts of what is promised.
struct Parts {
  double kernel = 0, jacobian = 0;
};

Parts parts_of_promise(const Network& network, const Program& program, const MatrixImages& images,
                       const Expected& expected, DataType type) {
  const PromisedAccuracy promise = promised_accuracy(network, type);
  const auto kernel = lane_kernel(program, images.rows, images.columns, {type});
  const auto jacobian = lane_jacobian(program, images, {type});
  const std::size_t num_entries = images.num_entries();
  std::vector<std::vector<double>> sensitivities(num_entries);
  Parts parts;
  for (std::size_t i = 0; i < num_entries; ++i) {
    const auto x = images.rows[0], y = images.column(static_cast<Index>(i));
    const double error = std::abs(kernel[i] - expected.kernel[i]);
    if (error != 0) {
      parts.kernel = worst_of(parts.kernel, error / (promise.kernel * expected.scale[i]));
    }
    for (std::size_t p = 0; p < program.parameters.size(); ++p) {
      const std::size_t at = p * num_entries + i;
      const double off = std::abs(jacobian[at] - expected.jacobian[at]);
      double allowed = promise.jacobian * expected.largest[p];
      if (off > allowed) {
        std::vector<double>& found = sensitivities[i];
        if (found.empty()) {
          found = reference::cosine_sensitivity(program, x, y, promised_cosine_error(type));
        }
        allowed += found[p];
      }
      // What is below the type's smallest normal number is given as far as the type holds it.
      allowed += smallest_normal(type);
      if (off != 0) parts.jacobian = worst_of(parts.jacobian, off / allowed);
    }
  }
  return parts;
}

void check_depth(Index depth, double weight, double bias, Parts (&worst)[2]) {
  CAPTURE(depth);
  CAPTURE(weight);
  CAPTURE(bias);
  const Network network = deep_network(depth, weight, bias);
  const Program program = lower(network, kShape);
  for (const MatrixImages& images : kinds_of_images()) {
    const Expected expected(program, images);
    for (const DataType type : kDataTypes) {
      CAPTURE(name_of(type));
      const Parts parts = parts_of_promise(network, program, images, expected, type);
      CHECK(parts.kernel <= 1);
      CHECK(parts.jacobian <= 1);
      Parts& most = worst[type == DataType::kFloat32 ? 0 : 1];
      most = {worst_of(most.kernel, parts.kernel), worst_of(most.jacobian, parts.jacobian)};
    }
  }
}

}  // namespace

TEST_CASE("K and jacobians keep the promise for every depth from 1 to 400, var_weight 0 included") {
  for (const Index depth : {1, 2, 3, 5, 10, 20, 40, 60, 100, 200, 400}) {
    if (is_short_form() && depth != 1 && depth != 5 && depth != 60) continue;
    Parts worst[2];
    for (const double bias : {0.1, 1.0}) {
      for (const double weight : {0.0, 1e-3, 0.1, 1.0, 1.9, 2.2}) {
        if (depth > 100 && weight > 0 && weight < 1) continue;  // as at 100, but slower
        if (is_short_form() && weight > 0 && weight != 1.9) continue;
        check_depth(depth, weight, bias, worst);
      }
    }
    // Without a bias, weights that keep K in the range of float32.
    check_depth(depth, depth <= 20 ? 1.0 : 2.5, 0, worst);
    MESSAGE(depth << " layers, part of the promise used: float32 K " << worst[0].kernel
                  << ", jacobian " << worst[0].jacobian << "; float64 K " << worst[1].kernel
                  << ", jacobian " << worst[1].jacobian);
  }
}

}  // namespace gramtile::test::deep_networks_test
