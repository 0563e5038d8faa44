// Gradients and jacobians of the lane engine on random nested networks: against the reference
// within the bound that tests/support/derivative_bound.hpp carries through each network, against
// each other, and against central differences of K.
#include <doctest/doctest.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <string>

#include "engine/core/worst_of.hpp"
#include "engine/network/promised_accuracy.hpp"
#include "engine/reference/reference.hpp"
#include "engine/simd/instruction_set.hpp"
#include "tests/support/derivative_bound.hpp"
#include "tests/support/gradient_runs.hpp"
#include "tests/support/matrix_bound.hpp"
#include "tests/support/rounding_bound.hpp"
#include "tests/support/short_form.hpp"

namespace gramtile::test::gradient_random_test {
namespace {

/// Fewer cases where one pair is computed at a time.
std::uint64_t cases(Index count) {
  count = many_or_few(count, count / 5);
  return static_cast<std::uint64_t>(instruction_set() == "SCALAR" ? count / 4 : count);
}

struct Case {
  Program program;
  MatrixImages images;
};

/// Odd seeds: K(rows, columns) of 3 × 5 images, some of them in both; even ones: K of 5.
Case random_matrix(std::uint64_t seed) {
  const RandomCase random = random_case(seed);
  Case result{random.program(), {}};
  Images rows = random_images(2 * seed, random.shape, seed % 2 == 0 ? 5 : 3);
  if (seed % 2 == 0) {
    result.images = MatrixImages::square(std::move(rows));
  } else {
    result.images =
        MatrixImages::cross(std::move(rows), random_images(2 * seed + 1, random.shape, 5));
  }
  return result;
}

/// Three layers of `kernel_size` and one over the whole map, on square images.
Case layers_on(Index size, Index kernel_size) {
  const std::string layer = fmt::format(
      R"({{"type": "conv2d", "kernel_size": {}, "var_weight": 1.8, "var_bias": 0.2}},
         {{"type": "relu"}},)",
      kernel_size);
  const std::string json = fmt::format(
      R"({{"layers": [{}{}{}{{"type": "conv2d", "kernel_size": {}, "padding": 0,
         "var_weight": 1.5, "var_bias": 0.1}}]}})",
      layer, layer, layer, size);
  const ImageShape shape{.channels = 1, .height = size, .width = size};
  const auto seed = static_cast<std::uint64_t>(100 * size + kernel_size);
  return {program_of(json, shape), MatrixImages::square(random_images(seed, shape, 3))};
}

/// Bounds of a whole matrix, [P, N, M].
DerivativeBound bounds_of(const Case& matrix, DataType type) {
  return matrix_bound(matrix.program, matrix.images, type);
}

std::vector<double> absolute(std::vector<double> values) {
  for (double& value : values) value = std::abs(value);
  return values;
}

/// Checks every |value − expected| ≤ bound; returns the largest part of a bound that was used.
double check_all(const std::vector<double>& values, const std::vector<double>& expected,
                 const std::vector<double>& bounds) {
  REQUIRE(values.size() == expected.size());
  REQUIRE(values.size() == bounds.size());
  double used = 0;
  for (std::size_t i = 0; i < values.size(); ++i) {
    REQUIRE(std::isfinite(values[i]));
    const double error = std::abs(values[i] - expected[i]);
    if (error != 0) used = worst_of(used, error / bounds[i]);
    CHECK(error <= bounds[i]);
  }
  return used;
}

/// The promise that golden files are held to: errors relative to the largest entry of the
/// parameter's ∂K/∂θ, its terms taken absolutely (those of a logit can cancel to nothing).
void check_promise(const std::vector<double>& jacobian, const std::vector<double>& expected,
                   const DerivativeBound& bound, std::size_t num_entries, DataType type) {
  const double promise = promised_accuracy(type).jacobian;
  for (std::size_t first = 0; first < expected.size(); first += num_entries) {
    const auto begin = bound.magnitude.begin() + static_cast<std::ptrdiff_t>(first);
    const double largest =
        *std::max_element(begin, begin + static_cast<std::ptrdiff_t>(num_entries));
    for (std::size_t i = first; i < first + num_entries; ++i) {
      CHECK(std::abs(jacobian[i] - expected[i]) <= promise * largest);
    }
  }
}

}  // namespace

TEST_CASE("jacobians and gradients of random nested networks agree with the reference") {
  double used[2] = {0, 0};
  for (std::uint64_t seed = 0; seed < cases(120); ++seed) {
    CAPTURE(seed);
    const Case matrix = random_matrix(seed);
    const auto expected = reference_jacobian(matrix.program, matrix.images);
    const auto upstream = random_numbers(seed + 7000, matrix.images.num_entries());
    for (const DataType type : kDataTypes) {
      CAPTURE(name_of(type));
      const DerivativeBound bound = bounds_of(matrix, type);
      const auto jacobian = lane_jacobian(matrix.program, matrix.images, {type});
      double& most = used[type == DataType::kFloat32 ? 0 : 1];
      most = worst_of(most, check_all(jacobian, expected, bound.error));
      check_promise(jacobian, expected, bound, matrix.images.num_entries(), type);
      const auto gradient = lane_gradient(matrix.program, matrix.images, upstream, {type, 1, 2});
      most = worst_of(most, check_all(gradient, contract(upstream, expected).sum,
                                      gradient_bounds(upstream, bound, type)));
    }
  }
  MESSAGE("largest part of the bound used: float32 " << used[0] << ", float64 " << used[1]);
}

TEST_CASE(
    "derivatives of wide maps, whose rows are summed in two parts, agree with the reference") {
  for (const Index size : {23, 24, 26, 33}) {
    for (const Index kernel_size : {2, 3, 4, 5, 7}) {
      if (is_short_form() && kernel_size > 3) continue;
      CAPTURE(size);
      CAPTURE(kernel_size);
      const Case matrix = layers_on(size, kernel_size);
      const auto expected = reference_jacobian(matrix.program, matrix.images);
      const auto upstream = random_numbers(8000, matrix.images.num_entries());
      for (const DataType type : kDataTypes) {
        CAPTURE(name_of(type));
        const DerivativeBound bound = bounds_of(matrix, type);
        check_all(lane_jacobian(matrix.program, matrix.images, {type}), expected, bound.error);
        check_all(lane_gradient(matrix.program, matrix.images, upstream, {type}),
                  contract(upstream, expected).sum, gradient_bounds(upstream, bound, type));
      }
    }
  }
}

TEST_CASE(
    "the gradient is the contraction of the jacobian with any upstream, to 1e-12 in float64") {
  // Relative to Σ |upstream · ∂K/∂θ|; for logits to Σ |upstream| · magnitude, as the terms of a
  // logit's derivative can cancel to nothing.
  //
  // In float32 the two passes round on their own, and sums over lanes and rows come on top: twice
  // the bound of either.
  double largest = 0;
  for (std::uint64_t seed = 1000; seed < 1000 + cases(80); ++seed) {
    CAPTURE(seed);
    const RandomCase random = random_case(seed);
    const Program program = random.program();
    const Index n = 9 + static_cast<Index>(seed % 11);
    Case matrix{program, MatrixImages::square(random_images(seed, random.shape, n))};
    if (seed % 2 == 1) {
      matrix.images = MatrixImages::cross(random_images(seed, random.shape, 7),
                                          random_images(seed + 1, random.shape, n));
    }
    const auto upstream = random_numbers(seed, matrix.images.num_entries());
    const auto from_jacobian = contract(upstream, lane_jacobian(program, matrix.images));
    const auto gradient = lane_gradient(program, matrix.images, upstream, {.tile_size = 8});
    const auto magnitude =
        contract(absolute(upstream), bounds_of(matrix, DataType::kFloat64).magnitude).sum;
    for (std::size_t p = 0; p < gradient.size(); ++p) {
      const std::string& name = program.parameters[p].name;
      CAPTURE(name);
      const bool is_logit = name.find("logit") != std::string::npos;
      const double scale = is_logit ? magnitude[p] : from_jacobian.magnitude[p];
      const double error = std::abs(gradient[p] - from_jacobian.sum[p]);
      CHECK(error <= 1e-12 * scale);
      if (error != 0) largest = worst_of(largest, error / scale);
    }
    if (seed % 4 > 1) continue;
    const LaneRun run{DataType::kFloat32, 1, 8};
    const auto coarse = contract(upstream, lane_jacobian(program, matrix.images, run));
    auto bounds = gradient_bounds(upstream, bounds_of(matrix, run.type), run.type);
    for (double& bound : bounds) bound *= 2;
    check_all(lane_gradient(program, matrix.images, upstream, run), coarse.sum, bounds);
  }
  MESSAGE("largest difference in float64: " << largest);
}

TEST_CASE("the jacobian agrees with central differences of the lanes' own K") {
  // D(h) = K' + K‴h²/6 + …, so |D(h) − D(h/2)| is about 3 times the error of D(h/2); K is off by
  // kernel_bound() of its scale, divided by h in D(h/2). Tolerance: twice the one and twice the
  // other.
  for (std::uint64_t seed = 3000; seed < 3000 + cases(40); ++seed) {
    CAPTURE(seed);
    const Case matrix = random_matrix(seed);
    const Images &rows = matrix.images.rows,
                 &columns = matrix.images.symmetric ? rows : matrix.images.columns;
    const auto jacobian = lane_jacobian(matrix.program, matrix.images);
    const std::size_t num_entries = matrix.images.num_entries();
    const auto kernel_at = [&](std::size_t p, double delta) {
      const Program shifted = with_shifted_parameter(matrix.program, static_cast<Index>(p), delta);
      return matrix.images.symmetric ? lane_kernel(shifted, rows, {})
                                     : lane_kernel(shifted, rows, columns, {});
    };
    std::vector<double> diagonal_of_rows, diagonal_of_columns;
    for (Index i = 0; i < rows.size(); ++i) {
      diagonal_of_rows.push_back(reference::kernel_diagonal(matrix.program, rows[i]));
    }
    for (Index j = 0; j < columns.size(); ++j) {
      diagonal_of_columns.push_back(reference::kernel_diagonal(matrix.program, columns[j]));
    }
    const double h = 1e-4,
                 rounding = kernel_bound(matrix.program, DataType::kFloat64, rows, columns);
    for (std::size_t p = 0; p < matrix.program.parameters.size(); ++p) {
      CAPTURE(matrix.program.parameters[p].name);
      const auto above = kernel_at(p, h), below = kernel_at(p, -h),
                 half_above = kernel_at(p, h / 2), half_below = kernel_at(p, -h / 2);
      for (std::size_t i = 0; i < num_entries; ++i) {
        const double scale = std::sqrt(diagonal_of_rows[i / diagonal_of_columns.size()] *
                                       diagonal_of_columns[i % diagonal_of_columns.size()]);
        const double coarse = (above[i] - below[i]) / (2 * h);
        const double fine = (half_above[i] - half_below[i]) / h;
        const double tolerance = 2 * std::abs(coarse - fine) + 2 * 2 * rounding * scale / h;
        CHECK(std::abs(fine - jacobian[p * num_entries + i]) <= tolerance);
        CHECK(tolerance <= 1e-5 * scale);
      }
    }
  }
}

}  // namespace gramtile::test::gradient_random_test
