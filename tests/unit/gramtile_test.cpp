// The front door: shapes, names, both forms, and what is refused.
#include "engine/gramtile.hpp"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/reference/reference.hpp"
#include "tests/support/gradient_runs.hpp"

namespace gramtile {
namespace {

constexpr ImageShape kShape{.channels = 2, .height = 4, .width = 5};
constexpr ComputeOptions kOptions{.data_type = DataType::kFloat64, .num_threads = 2};

Program small_program() {
  return test::program_of(R"({"parameters": {"w": 1.5}, "layers": [
    {"type": "conv2d", "kernel_size": 3, "var_weight": "w", "var_bias": 0.3}, {"type": "relu"},
    {"type": "conv2d", "kernel_size": 4, "stride": 2, "padding": 0, "var_weight": "w"}]})",
                          kShape);
}

ImageArray array_of(const test::Images& images) {
  ImageArray array(
      {static_cast<std::size_t>(images.size()), std::size_t{2}, std::size_t{4}, std::size_t{5}});
  std::copy(images.pixels.begin(), images.pixels.end(), array.data());
  return array;
}

MatrixArray matrix_of(const std::vector<double>& values, std::size_t rows, std::size_t columns) {
  MatrixArray matrix({rows, columns});
  std::copy(values.begin(), values.end(), matrix.data());
  return matrix;
}

struct Fixture {
  Program program = small_program();
  test::Images x = test::random_images(1, kShape, 3), y = test::random_images(2, kShape, 4);
  ImageArray x_array = array_of(x), y_array = array_of(y);
};

/// What `call` throws: its message, with the kind checked.
template <class Call>
std::string refusal(ErrorKind kind, const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    CHECK(error.kind() == kind);
    return error.what();
  }
  FAIL("accepted");
  return {};
}

TEST_CASE("an image's shape is read off the array") {
  CHECK(image_shape(Fixture().x_array) == kShape);
}

TEST_CASE("kernel_matrix has the entries of the reference in both forms") {
  const Fixture f;
  const MatrixArray k = kernel_matrix(f.program, f.x_array, kOptions);
  const MatrixArray cross = kernel_matrix(f.program, f.x_array, f.y_array, kOptions);
  REQUIRE(k.shape(0) == 3);
  REQUIRE(k.shape(1) == 3);
  REQUIRE(cross.shape(0) == 3);
  REQUIRE(cross.shape(1) == 4);
  for (Index i = 0; i < 3; ++i) {
    const auto row = static_cast<std::size_t>(i);
    CHECK(k(row, row) ==
          doctest::Approx(reference::kernel_diagonal(f.program, f.x[i])).epsilon(1e-13));
    for (Index j = 0; j < 4; ++j) {
      CHECK(cross(row, static_cast<std::size_t>(j)) ==
            doctest::Approx(reference::kernel(f.program, f.x[i], f.y[j])).epsilon(1e-12));
    }
  }
}

TEST_CASE("kernel_jacobian is [P, N, M] in the order of the program's parameters, K beside it") {
  const Fixture f;
  const KernelJacobian result = kernel_jacobian(f.program, f.x_array, f.y_array, kOptions);
  CHECK(result.parameters == std::vector<std::string>{"conv0.var_bias", "w"});
  REQUIRE(result.jacobian.shape(0) == 2);
  REQUIRE(result.jacobian.shape(1) == 3);
  REQUIRE(result.jacobian.shape(2) == 4);
  CHECK(result.kernel == kernel_matrix(f.program, f.x_array, f.y_array, kOptions));
  const auto expected = test::reference_jacobian(f.program, test::MatrixImages::cross(f.x, f.y));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(result.jacobian.data()[i] == doctest::Approx(expected[i]).epsilon(1e-11));
  }
  const KernelJacobian square = kernel_jacobian(f.program, f.x_array, kOptions);
  CHECK(square.jacobian.shape(2) == 3);
  CHECK(square.jacobian(1, 0, 2) == square.jacobian(1, 2, 0));
}

TEST_CASE("kernel_gradient takes an array or any source, with the same bits") {
  const Fixture f;
  const auto values = test::random_numbers(3, 12);
  const MatrixArray upstream = matrix_of(values, 3, 4);
  const KernelGradient result =
      kernel_gradient(f.program, f.x_array, f.y_array, upstream, kOptions);
  CHECK(result.parameters == std::vector<std::string>{"conv0.var_bias", "w"});
  ArraySource rows = ArraySource::view(kShape, f.x.pixels),
              columns = ArraySource::view(kShape, f.y.pixels);
  ArrayUpstream source(values, 3, 4);
  CHECK(kernel_gradient(f.program, rows, &columns, source, kOptions).gradient == result.gradient);
  const auto expected = test::contract(
      values, test::reference_jacobian(f.program, test::MatrixImages::cross(f.x, f.y)));
  for (std::size_t p = 0; p < 2; ++p) {
    CHECK(std::abs(result.gradient[p] - expected.sum[p]) <= 1e-11 * expected.magnitude[p]);
  }
}

TEST_CASE("an upstream that is not symmetric counts both entries of a pair") {
  const Fixture f;
  MatrixArray above = xt::zeros<double>({3, 3}), below = xt::zeros<double>({3, 3}),
              both = xt::zeros<double>({3, 3});
  above(0, 2) = both(0, 2) = 2;
  below(2, 0) = both(2, 0) = -0.5;
  const auto of = [&](const MatrixArray& upstream) {
    return kernel_gradient(f.program, f.x_array, upstream, kOptions).gradient;
  };
  // One pair with a seed of 2, −½ and 1½: multiplied by powers of two but for the last.
  for (std::size_t p = 0; p < 2; ++p) {
    CHECK(of(above)[p] == -4 * of(below)[p]);
    CHECK(of(both)[p] == doctest::Approx(of(above)[p] + of(below)[p]).epsilon(1e-12));
  }
}

TEST_CASE("images that the program was not lowered for are refused with both shapes") {
  const Fixture f;
  const ImageArray wide(std::array<std::size_t, 4>{3, 2, 4, 6});
  const std::string message =
      refusal(ErrorKind::kUsage, [&] { kernel_matrix(f.program, f.x_array, wide, kOptions); });
  CHECK(message.find("[2, 4, 6]") != std::string::npos);
  CHECK(message.find("[2, 4, 5]") != std::string::npos);
}

TEST_CASE("no image at all is refused") {
  const Fixture f;
  const ImageArray none(std::array<std::size_t, 4>{0, 2, 4, 5});
  refusal(ErrorKind::kUsage, [&] { kernel_matrix(f.program, none, kOptions); });
}

TEST_CASE("a pixel that is not finite is refused with the image's index") {
  Fixture f;
  f.x_array(2, 0, 1, 1) = std::numeric_limits<double>::infinity();
  const std::string message =
      refusal(ErrorKind::kData, [&] { kernel_jacobian(f.program, f.x_array, kOptions); });
  CHECK(message.find("image 2 ") != std::string::npos);
}

TEST_CASE("an upstream of the wrong shape is refused with both shapes") {
  const Fixture f;
  const std::string message = refusal(ErrorKind::kUsage, [&] {
    kernel_gradient(f.program, f.x_array, f.y_array, matrix_of(test::random_numbers(1, 12), 4, 3),
                    kOptions);
  });
  CHECK(message.find("[4, 3]") != std::string::npos);
  CHECK(message.find("[3, 4]") != std::string::npos);
}

TEST_CASE("an upstream with an entry that is not finite is refused with its place") {
  const Fixture f;
  MatrixArray upstream = matrix_of(test::random_numbers(1, 9), 3, 3);
  upstream(1, 2) = std::numeric_limits<double>::quiet_NaN();
  const std::string message =
      refusal(ErrorKind::kData, [&] { kernel_gradient(f.program, f.x_array, upstream, kOptions); });
  CHECK(message.find("[1, 2]") != std::string::npos);
}

TEST_CASE("an array upstream reads the entries asked for, row by row") {
  const std::vector<double> values{0, 1, 2, 10, 11, 12};
  ArrayUpstream upstream(values, 2, 3);
  std::vector<double> part(4);
  upstream.read({0, 2}, {1, 3}, part);
  CHECK(part == std::vector<double>{1, 2, 11, 12});
}

TEST_CASE("an array upstream refuses sizes, ranges and buffers that do not fit") {
  const std::vector<double> values(6);
  for (const auto& [rows, columns] : {std::pair<Index, Index>{2, 2}, {0, 6}, {-2, -3}, {4, 2}}) {
    refusal(ErrorKind::kUsage, [&] { ArrayUpstream(values, rows, columns); });
  }
  ArrayUpstream upstream(values, 2, 3);
  std::vector<double> part(4);
  for (const auto& [rows, columns] : {std::pair<Range, Range>{{1, 3}, {0, 2}},
                                      {{0, 2}, {2, 4}},
                                      {{-1, 1}, {0, 2}},
                                      {{0, 1}, {0, 3}},
                                      {{2, 0}, {2, 0}}}) {
    refusal(ErrorKind::kUsage, [&] { upstream.read(rows, columns, part); });
  }
}

TEST_CASE("a gradient without an upstream is refused") {
  const Fixture f;
  ArraySource rows = ArraySource::view(kShape, f.x.pixels);
  const std::string message = refusal(ErrorKind::kUsage, [&] {
    compute_arrays(f.program, rows, nullptr, kOptions, Derivative::kGradient);
  });
  CHECK(message.find("upstream") != std::string::npos);
}

}  // namespace
}  // namespace gramtile
