// The same bits of K for every thread count, tile size and order of the images.
#include <doctest/doctest.h>

#include "tests/support/lane_runs.hpp"
#include "tests/support/short_form.hpp"

namespace gramtile::test::lanes_bits_test {
namespace {

// A preset in small: a window in the images, residual branches, a stride, one last window.
constexpr const char* kSmallResidual = R"({"layers": [
  {"type": "conv2d", "kernel_size": 3, "var_weight": 2, "var_bias": 0.3},
  {"type": "sum", "branches": [[], [{"type": "relu"},
    {"type": "conv2d", "kernel_size": 3, "var_weight": 1.5, "var_bias": 0.1}]]},
  {"type": "relu"},
  {"type": "conv2d", "kernel_size": 3, "stride": 2, "var_weight": 1.7},
  {"type": "relu"},
  {"type": "conv2d", "kernel_size": 3, "padding": 0, "var_bias": 0.2}]})";

constexpr ImageShape kSmallShape{.channels = 1, .height = 6, .width = 6};

}  // namespace

// In the short form the larger tiles are all.
TEST_CASE("K has the same bits for 1, 2, 3 and 8 threads and tiles of 8, 64, 200, 256 and all") {
  const Program program = program_of(kSmallResidual, kSmallShape);
  const Images images = random_images(1, kSmallShape, many_or_few(261, 70));
  const Index small = many_or_few(40, 8);  // more tiles than threads
  for (const DataType type : kDataTypes) {
    CAPTURE(name_of(type));
    const auto expected = lane_kernel(program, images, {type, 1, images.size()});
    for (const Index tile_size : {8, 64, 200, 256}) {
      CAPTURE(tile_size);
      CHECK(lane_kernel(program, images, {type, 2, tile_size}) == expected);
    }
    for (const int num_threads : {2, 3, 8}) {
      CAPTURE(num_threads);
      CHECK(lane_kernel(program, images, {type, num_threads, images.size()}) == expected);
      CHECK(lane_kernel(program, images, {type, num_threads, small}) == expected);
    }
  }
}

TEST_CASE("K has the same bits whatever the order of the images") {
  const Program program = program_of(kSmallResidual, kSmallShape);
  const Images images = random_images(2, kSmallShape, 70);
  for (const DataType type : kDataTypes) {
    CAPTURE(name_of(type));
    const auto kernel = lane_kernel(program, images, {type, 1, 32});
    for (const std::uint64_t seed : {1, 2, 3}) {
      const std::vector<Index> order = shuffled(seed, images.size());
      CHECK(lane_kernel(program, images.reordered(order), {type, 2, 48}) ==
            reordered(kernel, images.size(), order, order));
    }
  }
}

TEST_CASE("a cross matrix has the same bits whatever the order, and transposed") {
  const Program program = program_of(kSmallResidual, kSmallShape);
  const Images rows = random_images(3, kSmallShape, 37),
               columns = random_images(4, kSmallShape, 50);
  const std::vector<Index> row_order = shuffled(5, 37), column_order = shuffled(6, 50);
  for (const DataType type : kDataTypes) {
    CAPTURE(name_of(type));
    const auto kernel = lane_kernel(program, rows, columns, {type, 1, 64});
    CHECK(lane_kernel(program, rows.reordered(row_order), columns.reordered(column_order),
                      {type, 3, 16}) == reordered(kernel, 50, row_order, column_order));
    const auto transposed = lane_kernel(program, columns, rows, {type, 2, 24});
    for (Index i = 0; i < 37; ++i) {
      for (Index j = 0; j < 50; ++j) {
        REQUIRE(transposed[static_cast<std::size_t>(j * 37 + i)] ==
                kernel[static_cast<std::size_t>(i * 50 + j)]);
      }
    }
  }
}

}  // namespace gramtile::test::lanes_bits_test
