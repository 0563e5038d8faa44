// The lane engine against the reference on random nested networks, within the bound that
// tests/support/rounding_bound.hpp derives from each network; and what follows from that bound for
// the matrix as a whole.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/core/worst_of.hpp"
#include "engine/reference/reference.hpp"
#include "tests/support/eigenvalues.hpp"
#include "tests/support/lane_runs.hpp"
#include "tests/support/matrix_bound.hpp"
#include "tests/support/rounding_bound.hpp"
#include "tests/support/short_form.hpp"

namespace gramtile::test::lanes_reference_test {
namespace {

constexpr std::uint64_t kNumCases = 150;

std::vector<double> diagonal_of(const Program& program, const Images& images) {
  std::vector<double> diagonal;
  for (Index i = 0; i < images.size(); ++i) {
    diagonal.push_back(reference::kernel_diagonal(program, images[i]));
  }
  return diagonal;
}

// Reference and scale √(K_ii·K_jj) of every pair of a case.
struct Expected {
  std::vector<double> kernel, scale;
};

Expected expected_cross(const Program& program, const Images& rows, const Images& columns) {
  const auto row_diagonal = diagonal_of(program, rows),
             column_diagonal = diagonal_of(program, columns);
  Expected expected;
  for (Index i = 0; i < rows.size(); ++i) {
    for (Index j = 0; j < columns.size(); ++j) {
      expected.kernel.push_back(reference::kernel(program, rows[i], columns[j]));
      expected.scale.push_back(std::sqrt(row_diagonal[as_size(i)] * column_diagonal[as_size(j)]));
    }
  }
  return expected;
}

double largest_error(const std::vector<double>& kernel, const Expected& expected) {
  double largest = 0;
  for (std::size_t n = 0; n < kernel.size(); ++n) {
    REQUIRE(std::isfinite(kernel[n]));
    largest = worst_of(largest, std::abs(kernel[n] - expected.kernel[n]) / expected.scale[n]);
  }
  return largest;
}

// Random images, then copies and near copies of them, a mirror image and a black one: as close to
// singular as data can be.
Images nearly_dependent_images(std::uint64_t seed, ImageShape shape) {
  Images images = random_images(seed, shape, 20);
  Random random(seed);
  const Images originals = images;
  for (Index i = 0; i < 12; ++i) {
    std::vector<double> image(originals[i].begin(), originals[i].end());
    const double factor = i < 4 ? 1 : i < 8 ? 1 + 1e-7 : 1 - 1e-3;
    for (double& pixel : image) pixel *= factor;
    if (i % 4 == 3) image[0] += 1e-6 * random.normal();
    images.append(image);
  }
  std::vector<double> opposite(originals[0].begin(), originals[0].end());
  for (double& pixel : opposite) pixel = -pixel;
  images.append(opposite);
  images.append(std::vector<double>(as_size(shape.num_values()), 0.0));
  return images;
}

}  // namespace

TEST_CASE("random nested networks agree with the reference within the derived bound") {
  double used[2] = {0, 0};
  for (std::uint64_t seed = 0; seed < kNumCases; ++seed) {
    CAPTURE(seed);
    const RandomCase random = random_case(seed);
    const Program program = random.program();
    const Images rows = random_images(2 * seed, random.shape, 2);
    const Images columns = random_images(2 * seed + 1, random.shape, 5);
    const Expected expected = expected_cross(program, rows, columns);
    for (const DataType type : kDataTypes) {
      CAPTURE(name_of(type));
      const double bound = kernel_bound(program, type, rows, columns);
      const double error = largest_error(lane_kernel(program, rows, columns, {type}), expected);
      CHECK(error <= bound);
      used[as_size(type == DataType::kFloat64)] =
          worst_of(used[as_size(type == DataType::kFloat64)], error / bound);
    }
  }
  MESSAGE("largest part of the bound used: float32 " << used[0] << ", float64 " << used[1]);
}

TEST_CASE("a symmetric K agrees with the reference, its diagonal with the variance") {
  for (std::uint64_t seed = 200; seed < 230; ++seed) {
    CAPTURE(seed);
    const RandomCase random = random_case(seed);
    const Program program = random.program();
    const Images images = random_images(seed, random.shape, 5);
    Expected expected = expected_cross(program, images, images);
    const auto diagonal = diagonal_of(program, images);
    for (std::size_t i = 0; i < 5; ++i) expected.kernel[i * 6] = diagonal[i];
    for (const DataType type : kDataTypes) {
      CAPTURE(name_of(type));
      const auto kernel = lane_kernel(program, images, {type});
      CHECK(largest_error(kernel, expected) <= kernel_bound(program, type, images, images));
    }
  }
}

TEST_CASE("the same image in two data sets reaches the variance of the diagonal within rounding") {
  for (std::uint64_t seed = 300; seed < 340; ++seed) {
    CAPTURE(seed);
    const RandomCase random = random_case(seed);
    const Program program = random.program();
    const Images images = random_images(seed, random.shape, 6);
    for (const DataType type : kDataTypes) {
      CAPTURE(name_of(type));
      const auto symmetric = lane_kernel(program, images, {type});
      const auto cross = lane_kernel(program, images, images, {type});
      for (std::size_t i = 0; i < 6; ++i) {
        const auto image = images[static_cast<Index>(i)];
        const double bound = kernel_bound(program, type, image, image);
        CHECK(std::abs(cross[i * 7] - symmetric[i * 7]) <= bound * symmetric[i * 7]);
      }
    }
  }
}

TEST_CASE("duplicates inside a data set have equal rows and reach the diagonal within rounding") {
  for (std::uint64_t seed = 350; seed < 370; ++seed) {
    CAPTURE(seed);
    const RandomCase random = random_case(seed);
    const Program program = random.program();
    Images images = random_images(seed, random.shape, 9);
    images.append(std::vector<double>(images[2].begin(), images[2].end()));  // 9 is 2 again
    for (const DataType type : kDataTypes) {
      CAPTURE(name_of(type));
      const auto kernel = lane_kernel(program, images, {type, 1, 4});
      for (std::size_t j = 0; j < 9; ++j) {
        if (j != 2) REQUIRE(kernel[90 + j] == kernel[20 + j]);
      }
      CHECK(kernel[99] == kernel[22]);
      const double bound = kernel_bound(program, type, images[2], images[2]);
      CHECK(std::abs(kernel[92] - kernel[22]) <= bound * kernel[22]);
    }
  }
}

TEST_CASE("K is exactly symmetric and positive semidefinite within its rounding") {
  // With K = K* + E, |E_ij| ≤ ε √(K_ii·K_jj): scaled to a diagonal of 1, the smallest eigenvalue is
  // at least −N·ε (the norm of a matrix is at most N times its largest entry).
  const auto num_cases = static_cast<std::uint64_t>(many_or_few(30, 5));
  for (std::uint64_t seed = 400; seed < 400 + num_cases; ++seed) {
    CAPTURE(seed);
    const RandomCase random = random_case(seed);
    const Program program = random.program();
    const Images images = nearly_dependent_images(seed, random.shape);
    const Index n = images.size();
    for (const DataType type : kDataTypes) {
      CAPTURE(name_of(type));
      const auto kernel = lane_kernel(program, images, {type, 1, 16});
      std::vector<double> scaled;
      for (Index i = 0; i < n; ++i) {
        for (Index j = 0; j < n; ++j) {
          REQUIRE(kernel[as_size(i * n + j)] == kernel[as_size(j * n + i)]);
          const double square = kernel[as_size(i * n + i)] * kernel[as_size(j * n + j)];
          scaled.push_back(square > 0 ? kernel[as_size(i * n + j)] / std::sqrt(square) : 0);
        }
      }
      const double bound = kernel_bound(program, type, images, images) * static_cast<double>(n);
      CHECK(smallest_eigenvalue(scaled, n) >= -bound);
    }
  }
}

}  // namespace gramtile::test::lanes_reference_test
