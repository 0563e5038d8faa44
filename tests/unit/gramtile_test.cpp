// The front door: shapes, names, both forms, and what is refused.
#include "engine/gramtile.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include "engine/reference/reference.hpp"
#include "engine/schedule/compute_arrays.hpp"
#include "engine/xtensor.hpp"
#include "io/job/memory_budget.hpp"
#include "tests/support/gradient_runs.hpp"
#include "tests/support/small_program.hpp"

namespace gramtile::gramtile_test {
namespace {

using ImageArray = xt::xtensor<double, 4>;
using MatrixArray = xt::xtensor<double, 2>;

constexpr ImageShape kShape = test::kSmallShape;
const ComputeOptions kOptions{.data_type = DataType::kFloat64, .num_threads = 2};

using test::small_program;

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
  const MatrixArray k = kernel_matrix<double>(f.program, f.x_array);
  const MatrixArray cross = kernel_matrix<double>(f.program, f.x_array, f.y_array);
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
  const auto result = kernel_jacobian<double>(f.program, f.x_array, f.y_array);
  CHECK(result.parameters == std::vector<std::string>{"conv0.var_bias", "w"});
  REQUIRE(result.jacobian.shape(0) == 2);
  REQUIRE(result.jacobian.shape(1) == 3);
  REQUIRE(result.jacobian.shape(2) == 4);
  CHECK(result.kernel == kernel_matrix<double>(f.program, f.x_array, f.y_array));
  const auto expected = test::reference_jacobian(f.program, test::MatrixImages::cross(f.x, f.y));
  for (std::size_t i = 0; i < expected.size(); ++i) {
    CHECK(result.jacobian.data()[i] == doctest::Approx(expected[i]).epsilon(1e-11));
  }
  const auto square = kernel_jacobian<double>(f.program, f.x_array);
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

// In float32 the relu of a product that cannot be negative has other last bits, of some of 435
// pairs.
TEST_CASE("the sign of the pixels is looked at, through every door") {
  constexpr Index kNum = 30;
  const Program program = small_program();
  Program told = program;
  assume_nonnegative_images(told);
  std::vector<double> pixels = test::random_images(9, kShape, kNum).pixels;
  for (double& pixel : pixels) pixel = std::abs(pixel);
  const auto by_tiles = [&](const Program& of) {
    ArraySource rows(kShape, pixels);
    return compute_arrays(of, rows, nullptr, {}).kernel;
  };
  const auto by_door = [&](bool through_a_source) {
    std::vector<float> k(kNum * kNum);
    const ImageView view = channels_first(pixels.data(), kNum, kShape);
    ArraySource rows = ArraySource::view(view);
    if (through_a_source) {
      kernel_matrix(program, rows, nullptr, matrix_span(k.data(), kNum, kNum));
    } else {
      kernel_matrix(program, view, matrix_span(k.data(), kNum, kNum));
    }
    return std::vector<double>(k.begin(), k.end());
  };
  CHECK(by_tiles(told) != by_tiles(program));
  for (const bool through_a_source : {false, true})
    CHECK(by_door(through_a_source) == by_tiles(told));
  pixels.back() = -1e-300;
  for (const bool through_a_source : {false, true})
    CHECK(by_door(through_a_source) == by_tiles(program));
}

TEST_CASE("an array for results of another shape or type is refused with both") {
  const Fixture f;
  std::vector<double> memory(12);
  const auto message = [&](const MatrixSpan& k, DataType type) {
    return refusal(ErrorKind::kUsage, [&] {
      kernel_matrix(f.program, view_of(f.x_array), view_of(f.y_array), k, {.data_type = type});
    });
  };
  const std::string shape = message(matrix_span(memory.data(), 4, 3), DataType::kFloat64);
  CHECK(shape.find("[4, 3]") != std::string::npos);
  CHECK(shape.find("[3, 4]") != std::string::npos);
  const std::string type = message(matrix_span(memory.data(), 3, 4), DataType::kFloat32);
  CHECK(type.find("float64") != std::string::npos);
  CHECK(type.find("float32") != std::string::npos);
  message(matrix_span(static_cast<double*>(nullptr), 3, 4), DataType::kFloat64);
  const std::string planes = refusal(ErrorKind::kUsage, [&] {
    kernel_jacobian(f.program, view_of(f.x_array), view_of(f.y_array),
                    cube_span(memory.data(), 1, 3, 4), {}, kOptions);
  });
  CHECK(planes.find("2 parameters") != std::string::npos);
}

TEST_CASE("a jacobian is written where the caller says, with K or without") {
  const Fixture f;
  const auto expected = kernel_jacobian<double>(f.program, f.x_array, f.y_array);
  std::vector<double> memory(3 * 4 * 2);  // [N, M, P]
  CubeSpan jacobian{
      .num_planes = 2, .plane_stride = sizeof(double), .first = matrix_span(memory.data(), 3, 4)};
  jacobian.first.row_stride *= 2;
  jacobian.first.column_stride *= 2;
  kernel_jacobian(f.program, view_of(f.x_array), view_of(f.y_array), jacobian, {}, kOptions);
  for (std::size_t p = 0; p < 2; ++p)
    for (std::size_t i = 0; i < 12; ++i)
      CHECK(memory[2 * i + p] == expected.jacobian.data()[12 * p + i]);
}

TEST_CASE("an upstream of any strides and type is read as the same numbers") {
  const Fixture f;
  std::vector<float> values;
  for (int i = 0; i < 12; ++i) values.push_back(static_cast<float>(i * i) / 8 - 5);
  std::vector<double> transposed(12);
  for (std::size_t i = 0; i < 12; ++i) transposed[i % 4 * 3 + i / 4] = values[i];
  MatrixView other = matrix_view(transposed.data(), 3, 4);
  other.row_stride = sizeof(double);
  other.column_stride = 3 * sizeof(double);
  const auto of = [&](const MatrixView& upstream) {
    return kernel_gradient(f.program, view_of(f.x_array), view_of(f.y_array), upstream, kOptions)
        .gradient;
  };
  CHECK(of(matrix_view(values.data(), 3, 4)) == of(other));
}

TEST_CASE("tiles are chosen as the commands choose them without options") {
  CHECK(share_memory(std::size_t{2} << 30).engine_bytes == kUsualMemoryBytes);
}

TEST_CASE("images that the program was not lowered for are refused with both shapes") {
  const Fixture f;
  const ImageArray wide(std::array<std::size_t, 4>{3, 2, 4, 6});
  const std::string message =
      refusal(ErrorKind::kUsage, [&] { kernel_matrix<double>(f.program, f.x_array, wide); });
  CHECK(message.find("[2, 4, 6]") != std::string::npos);
  CHECK(message.find("[2, 4, 5]") != std::string::npos);
}

TEST_CASE("no image at all is refused") {
  const Fixture f;
  const ImageArray none(std::array<std::size_t, 4>{0, 2, 4, 5});
  refusal(ErrorKind::kUsage, [&] { kernel_matrix<double>(f.program, none); });
}

TEST_CASE("a pixel that is not finite is refused with the image's index") {
  Fixture f;
  f.x_array(2, 0, 1, 1) = std::numeric_limits<double>::infinity();
  const std::string message =
      refusal(ErrorKind::kData, [&] { kernel_jacobian<double>(f.program, f.x_array); });
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
TEST_CASE("the diagonal and its jacobian are those of the symmetric matrix, to the last bit") {
  const Fixture f;
  for (const DataType type : {DataType::kFloat32, DataType::kFloat64}) {
    ComputeOptions options = kOptions;
    options.data_type = type;
    const ImageView x = channels_first(f.x.pixels.data(), f.x.size(), kShape);
    const Index n = x.num_images, num_parameters = static_cast<Index>(f.program.parameters.size());
    const auto entries = static_cast<std::size_t>(n * n * (num_parameters + 1));
    std::vector<double> matrix(entries),
        diagonal(static_cast<std::size_t>(n * (num_parameters + 1)));
    const Index size = size_in_bytes(type);
    // K in front, the planes of the jacobian behind it; float32 fills half of the room.
    const auto span = [&](std::vector<double>& to, Index columns, Index plane) {
      auto* data = reinterpret_cast<std::byte*>(to.data()) + plane * n * columns * size;
      return MatrixSpan{data, type, n, columns, columns * size, size};
    };
    kernel_jacobian(f.program, x, {num_parameters, n * n * size, span(matrix, n, 1)},
                    span(matrix, n, 0), options);
    kernel_diagonal_jacobian(f.program, x, {num_parameters, n * size, span(diagonal, 1, 1)},
                             span(diagonal, 1, 0), options);
    const auto* m = reinterpret_cast<const std::byte*>(matrix.data());
    const auto* d = reinterpret_cast<const std::byte*>(diagonal.data());
    for (Index plane = 0; plane <= num_parameters; ++plane) {
      for (Index i = 0; i < n; ++i) {
        CHECK(std::memcmp(m + (plane * n * n + i * n + i) * size, d + (plane * n + i) * size,
                          static_cast<std::size_t>(size)) == 0);
      }
    }
    std::vector<double> alone(static_cast<std::size_t>(n));
    kernel_diagonal(f.program, x, span(alone, 1, 0), options);
    CHECK(std::memcmp(alone.data(), d, static_cast<std::size_t>(n * size)) == 0);
  }
}

TEST_CASE("an array for the diagonal is a column") {
  const Fixture f;
  const ImageView x = channels_first(f.x.pixels.data(), f.x.size(), kShape);
  std::vector<double> k(16);
  CHECK(refusal(ErrorKind::kUsage, [&] {
          kernel_diagonal(f.program, x, matrix_span(k.data(), 3, 3), kOptions);
        }) == "the array for K has shape [3, 3], the result has [3, 1]");
}

TEST_CASE("a call that is to be given up throws, and computes nothing more") {
  const Fixture f;
  std::stop_source stop;
  stop.request_stop();
  ComputeOptions options = kOptions;
  options.abandon = stop.get_token();
  const ImageView x = channels_first(f.x.pixels.data(), f.x.size(), kShape);
  std::vector<double> k(9, -1.0);
  CHECK(refusal(ErrorKind::kInterrupted, [&] {
          kernel_matrix(f.program, x, matrix_span(k.data(), 3, 3), options);
        }) == "interrupted: what was not finished is given up");
  CHECK(std::ranges::all_of(k, [](double entry) { return entry == -1; }));
}

}  // namespace gramtile::gramtile_test
