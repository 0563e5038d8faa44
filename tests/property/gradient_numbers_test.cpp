// Derivatives where the angle is ill-conditioned or does not exist: cosines within 1e-7 of ±1,
// duplicates, opposites, black images, vanishing weights. All against the reference and its
// conventions (docs/mathematics.md, §6).
//
// Near c = ±1 the error δ of a cosine makes one of up to √(2δ) in the angle, and so in each of the
// relu's two derivatives; but along a direction in which xy, xx and yy grow alike the two errors
// cancel to θ³/6π, and images within 1e-7 of each other (or of each other's opposite) leave every
// such direction by at most a few 1e-7 of it. What remains is far below one rounding: hence the
// bounds without angle errors.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/reference/reference.hpp"
#include "tests/support/derivative_bound.hpp"
#include "tests/support/gradient_runs.hpp"
#include "tests/support/rounding_bound.hpp"

namespace gramtile::test::gradient_numbers_test {
namespace {

constexpr ImageShape kShape{.channels = 1, .height = 5, .width = 5};

constexpr const char* kWithoutBias = R"({"layers": [
  {"type": "conv2d", "kernel_size": 3, "var_weight": 2}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 3, "var_weight": 2}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 5, "padding": 0, "var_weight": 3}]})";

constexpr const char* kWithBias = R"({"layers": [
  {"type": "conv2d", "kernel_size": 3, "var_bias": 0.25}, {"type": "relu"},
  {"type": "sum", "branches": [[], [{"type": "conv2d", "kernel_size": 3, "var_weight": 1.5,
                                     "var_bias": 0.1}, {"type": "relu"}]]},
  {"type": "conv2d", "kernel_size": 5, "padding": 0, "var_weight": 2, "var_bias": 0.5}]})";

/// The first layer has a pixel of its own: opposite images reach the relu with c = −1 exactly.
constexpr const char* kPointwise = R"({"layers": [
  {"type": "conv2d", "kernel_size": 1, "var_weight": 2}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 3, "var_weight": 2, "var_bias": 0.3}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 5, "padding": 0}]})";

constexpr const char* kNetworks[] = {kWithoutBias, kWithBias, kPointwise};

std::vector<double> scaled(std::span<const double> image, double factor) {
  std::vector<double> result(image.begin(), image.end());
  for (double& pixel : result) pixel *= factor;
  return result;
}

/// The image with every pixel changed by about `size` of itself.
std::vector<double> nearly(std::span<const double> image, double size, std::uint64_t seed) {
  std::vector<double> result(image.begin(), image.end());
  Random random(seed);
  for (double& pixel : result) pixel *= 1 + size * random.normal();
  return result;
}

Images constant_images(std::initializer_list<double> values) {
  Images images{kShape, {}};
  for (const double value : values) {
    images.append(std::vector<double>(static_cast<std::size_t>(kShape.num_values()), value));
  }
  return images;
}

/// Every entry of the jacobian of K(images, images) as two data sets and as one, against the
/// reference, and the gradient for an upstream that singles out nothing.
void check_against_reference(const Program& program, const Images& images, DataType type,
                             AngleErrors angles) {
  CAPTURE(name_of(type));
  for (const MatrixImages& matrix :
       {MatrixImages::square(images), MatrixImages::cross(images, images)}) {
    CAPTURE(matrix.symmetric);
    const auto expected = reference_jacobian(program, matrix);
    const auto jacobian = lane_jacobian(program, matrix, {type});
    const std::size_t n = matrix.num_entries(), num_parameters = program.parameters.size();
    const auto upstream = random_numbers(99, n);
    const auto gradient = lane_gradient(program, matrix, upstream, {type});
    const auto expected_gradient = contract(upstream, expected).sum;
    std::vector<double> gradient_bound(num_parameters, 0.0);
    for (std::size_t i = 0; i < n; ++i) {
      const Index row = static_cast<Index>(i) / images.size(),
                  column = static_cast<Index>(i) % images.size();
      const auto bound = derivative_bound(program, images[row], images[column], type,
                                          matrix.symmetric && row == column, angles);
      for (std::size_t p = 0; p < num_parameters; ++p) {
        const double value = jacobian[p * n + i];
        REQUIRE(std::isfinite(value));
        CAPTURE(program.parameters[p].name);
        CAPTURE(row);
        CAPTURE(column);
        CHECK(std::abs(value - expected[p * n + i]) <= bound.error[p]);
        gradient_bound[p] +=
            std::abs(upstream[i]) *
            (bound.error[p] + kGradientRoundings * unit_rounding(type) * bound.magnitude[p]);
      }
    }
    for (std::size_t p = 0; p < num_parameters; ++p) {
      CHECK(std::abs(gradient[p] - expected_gradient[p]) <= gradient_bound[p]);
    }
  }
}

}  // namespace

TEST_CASE("images within 1e-7 of each other, of their opposites, and equal ones") {
  Images images = random_images(1, kShape, 2);
  const std::vector<double> first(images[0].begin(), images[0].end());
  images.append(first);
  images.append(scaled(first, 1 + 1e-7));
  images.append(nearly(first, 1e-7, 1));
  images.append(nearly(first, 1e-8, 2));
  images.append(scaled(first, -1));
  images.append(scaled(first, -1 - 1e-7));
  images.append(nearly(scaled(first, -1), 1e-7, 3));
  for (const char* network : kNetworks) {
    CAPTURE(std::string(network));
    for (const DataType type : kDataTypes) {
      check_against_reference(program_of(network, kShape), images, type, AngleErrors::kCancelling);
    }
  }
}

TEST_CASE("the same image in two data sets has the derivative of its variance") {
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    CAPTURE(seed);
    const RandomCase random = random_case(seed);
    const Program program = random.program();
    const Images images = random_images(seed, random.shape, 2);
    for (const DataType type : kDataTypes) {
      CAPTURE(name_of(type));
      const auto jacobian = lane_jacobian(program, MatrixImages::cross(images, images), {type});
      for (Index i = 0; i < images.size(); ++i) {
        const auto variance = reference::kernel_diagonal_gradient(program, images[i]);
        const auto bound =
            derivative_bound(program, images[i], images[i], type, false, AngleErrors::kCancelling);
        for (std::size_t p = 0; p < variance.gradient.size(); ++p) {
          CAPTURE(program.parameters[p].name);
          CHECK(std::abs(jacobian[p * 4 + static_cast<std::size_t>(i) * 3] -
                         variance.gradient[p]) <= bound.error[p]);
        }
      }
    }
  }
}

TEST_CASE("black and constant images, with biases and without") {
  Images images = constant_images({0, 0, 0.5, 1, -1});
  const Images random = random_images(2, kShape, 2);
  for (Index i = 0; i < random.size(); ++i) images.append(random[i]);
  std::vector<double> half(random[0].begin(), random[0].end());
  std::fill_n(half.begin(), half.size() / 2, 0.0);  // black above
  images.append(half);
  for (const char* network : kNetworks) {
    CAPTURE(std::string(network));
    for (const DataType type : kDataTypes) {
      check_against_reference(program_of(network, kShape), images, type, AngleErrors::kCancelling);
    }
  }
}

TEST_CASE("without biases a black image has derivative exactly 0 with every image") {
  const Program program = program_of(kWithoutBias, kShape);
  Images images = random_images(3, kShape, 4);
  images.append(constant_images({0})[0]);
  for (const DataType type : kDataTypes) {
    const auto jacobian = lane_jacobian(program, MatrixImages::square(images), {type});
    for (std::size_t p = 0; p < program.parameters.size(); ++p) {
      for (std::size_t j = 0; j < 5; ++j) {
        CHECK(jacobian[p * 25 + 20 + j] == 0);
        CHECK(jacobian[p * 25 + j * 5 + 4] == 0);
      }
    }
  }
}

// ∂K/∂w at w = 0 comes from the window sum: out − bias is 0 there, and 0/0 was never divided.
TEST_CASE("the derivative by a var_weight of 0 is right") {
  constexpr const char* kMiddle = R"({"layers": [
    {"type": "conv2d", "kernel_size": 3, "var_weight": 2, "var_bias": 0.3}, {"type": "relu"},
    {"type": "conv2d", "kernel_size": 3, "var_weight": 0, "var_bias": 0.25}, {"type": "relu"},
    {"type": "conv2d", "kernel_size": 5, "padding": 0, "var_weight": 2}]})";
  constexpr const char* kFirst = R"({"layers": [
    {"type": "conv2d", "kernel_size": 3, "var_weight": 0}, {"type": "relu"},
    {"type": "conv2d", "kernel_size": 3, "var_weight": 1.5, "var_bias": 0.5}, {"type": "relu"},
    {"type": "conv2d", "kernel_size": 5, "padding": 0, "var_weight": 2}]})";
  constexpr const char* kLast = R"({"layers": [
    {"type": "conv2d", "kernel_size": 3, "var_weight": 2, "var_bias": 0.3}, {"type": "relu"},
    {"type": "conv2d", "kernel_size": 5, "padding": 0, "var_weight": 0}]})";
  const Images images = random_images(4, kShape, 4);
  for (const char* network : {kMiddle, kFirst, kLast}) {
    CAPTURE(std::string(network));
    const Program program = program_of(network, kShape);
    for (const DataType type : kDataTypes) {
      check_against_reference(program, images, type, AngleErrors::kIndependent);
    }
  }
  const Program last = program_of(kLast, kShape);
  for (const double entry : lane_kernel(last, images, {})) CHECK(entry == 0);
  const auto jacobian = lane_jacobian(last, MatrixImages::square(images));
  const std::size_t weight = parameter_index(last, "conv1.var_weight");
  for (std::size_t i = 0; i < 16; ++i) CHECK(jacobian[weight * 16 + i] > 0);
}

TEST_CASE("no finite image makes a derivative that is not finite, on any random network") {
  for (std::uint64_t seed = 600; seed < 630; ++seed) {
    CAPTURE(seed);
    const RandomCase random = random_case(seed);
    const Program program = random.program();
    Images images = random_images(seed, random.shape, 2);
    const auto num_values = static_cast<std::size_t>(random.shape.num_values());
    for (const double value : {0.0, 1.0, -1.0, 1e-15, 1e-25, 5e-324, 1e5}) {
      images.append(std::vector<double>(num_values, value));
    }
    std::vector<double> point(num_values, 0.0);
    point[num_values / 2] = 1;
    images.append(point);
    for (const DataType type : kDataTypes) {
      CAPTURE(name_of(type));
      const MatrixImages square = MatrixImages::square(representable(program, images, type));
      CHECK(square.num_rows() >= 6);
      for (const double entry : lane_jacobian(program, square, {type})) {
        REQUIRE(std::isfinite(entry));
      }
      const auto upstream = random_numbers(seed, square.num_entries());
      for (const double entry : lane_gradient(program, square, upstream, {type})) {
        REQUIRE(std::isfinite(entry));
      }
    }
  }
}

TEST_CASE("derivatives by logits keep their digits however dominant one branch is") {
  // Behind the mixture all is linear, so g_0 and g_1 do not depend on the logits, and ∂K/∂logit_0 =
  // w_0 w_1 (g_0 − g_1) = −∂K/∂logit_1 is w_0 w_1 times what it is at equal logits, over ¼.
  const ImageShape shape{.channels = 1, .height = 6, .width = 6};
  const auto program_at = [&](double logit) {
    return program_of(
        R"({"layers": [
      {"type": "conv2d", "kernel_size": 3, "var_weight": 1.5, "var_bias": 0.2}, {"type": "relu"},
      {"type": "mixture", "logits": [)" +
            std::to_string(logit) + ", " + std::to_string(-logit) +
            R"(], "branches": [[{"type": "conv2d", "kernel_size": 3, "var_weight": 1.1}],
        [{"type": "relu"}, {"type": "conv2d", "kernel_size": 1, "var_weight": 1.7}]]},
      {"type": "conv2d", "kernel_size": 6, "padding": 0}]})",
        shape);
  };
  const MatrixImages images = MatrixImages::square(random_images(21, shape, 6));
  const std::vector<double> upstream = random_numbers(22, images.num_entries());
  for (const DataType type : kDataTypes) {
    CAPTURE(name_of(type));
    const double allowed = type == DataType::kFloat32 ? 1e-4 : 1e-11;
    const Program equal = program_at(0);
    const std::size_t first = parameter_index(equal, "mixture0.logit0");
    const auto jacobian = lane_jacobian(equal, images, {type});
    const auto gradient = lane_gradient(equal, images, upstream, {type});
    for (const double logit : {-40.0, -20.0, -15.0, 5.0, 15.0, 20.0, 40.0}) {
      CAPTURE(logit);
      const Program program = program_at(logit);
      const double ratio = 4 / ((1 + std::exp(2 * logit)) * (1 + std::exp(-2 * logit)));
      const auto tilted = lane_jacobian(program, images, {type});
      const std::size_t n = images.num_entries();
      for (std::size_t i = first * n; i < (first + 1) * n; ++i) {
        const double expected = ratio * jacobian[i];
        CHECK(std::abs(tilted[i] - expected) <= allowed * std::abs(expected));
        CHECK(std::abs(tilted[i + n] + expected) <= allowed * std::abs(expected));
      }
      const double whole = lane_gradient(program, images, upstream, {type})[first];
      const double expected = ratio * gradient[first];
      CHECK(std::abs(whole - expected) <= 10 * allowed * std::abs(expected));
    }
  }
}

}  // namespace gramtile::test::gradient_numbers_test
