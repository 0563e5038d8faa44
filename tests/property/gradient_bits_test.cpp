// A gradient has the same bits for every thread count and memory bound, and is the sum of its
// tiles.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <optional>

#include "engine/core/array_source.hpp"
#include "engine/core/array_upstream.hpp"
#include "engine/core/errors.hpp"
#include "tests/support/derivative_bound.hpp"
#include "tests/support/gradient_runs.hpp"
#include "tests/support/rounding_bound.hpp"
#include "tests/support/short_form.hpp"

namespace gramtile::test::gradient_bits_test {
namespace {

constexpr const char* kSmallResidual = R"({"layers": [
  {"type": "conv2d", "kernel_size": 3, "var_weight": 2, "var_bias": 0.3},
  {"type": "sum", "branches": [[], [{"type": "relu"},
    {"type": "conv2d", "kernel_size": 3, "var_weight": 1.5, "var_bias": 0.1}]]},
  {"type": "mixture", "logits": [0.2, -0.1], "branches": [
    [{"type": "relu"}], [{"type": "conv2d", "kernel_size": 2}]]},
  {"type": "conv2d", "kernel_size": 3, "stride": 2, "var_weight": 1.7},
  {"type": "relu"},
  {"type": "conv2d", "kernel_size": 3, "padding": 0, "var_bias": 0.2}]})";

constexpr const char* kWithoutMixture = R"({"layers": [
  {"type": "conv2d", "kernel_size": 3, "var_weight": 2, "var_bias": 0.3},
  {"type": "sum", "branches": [[], [{"type": "relu"},
    {"type": "conv2d", "kernel_size": 3, "var_weight": 1.5, "var_bias": 0.1}]]},
  {"type": "relu"}, {"type": "conv2d", "kernel_size": 3, "stride": 2, "var_weight": 1.7},
  {"type": "relu"}, {"type": "conv2d", "kernel_size": 3, "padding": 0, "var_bias": 0.2}]})";

/// Without K the gradient of this never stores its last relu.
constexpr const char* kLayers = R"({"layers": [
  {"type": "conv2d", "kernel_size": 3, "var_weight": 2, "var_bias": 0.3}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 3, "var_weight": 1.7, "var_bias": 0.2}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 6, "padding": 0, "var_weight": 1.5, "var_bias": 0.1}]})";

constexpr ImageShape kShape{.channels = 1, .height = 6, .width = 6};

/// Every tile's gradient, in the order of arrival.
class Recorder : public TileSink {
 public:
  void write(const TileResult& result) override {
    tiles.push_back(result.tile.index);
    gradients.emplace_back(result.vector.begin(), result.vector.end());
    const std::span<const std::byte> kernel = result.plane(kKernelPlane);
    kernels.emplace_back(kernel.begin(), kernel.end());
  }

  std::vector<Index> tiles;
  std::vector<std::vector<double>> gradients;
  std::vector<std::vector<std::byte>> kernels;
};

/// One run over tiles of `tile_size`.
struct TileRun {
  TileRun(const MatrixImages& matrix, const std::vector<double>& values, Index tile_size,
          DataType type)
      : rows(ArraySource::view(kShape, matrix.rows.pixels)),
        upstream(values, matrix.num_rows(), matrix.num_columns()) {
    if (!matrix.symmetric) columns = ArraySource::view(kShape, matrix.columns.pixels);
    plan = plan_tiles({{"K", matrix.symmetric ? MatrixKind::kSymmetric : MatrixKind::kCross,
                        matrix.num_rows(), matrix.num_columns()}},
                      tile_size);
    request = {.program = &program,
               .plan = &plan,
               .sources = {{&rows, columns ? &*columns : nullptr}},
               .tiles = {},
               .content = content_of(false, Derivative::kGradient),
               .upstream = &upstream};
    request.tiles.resize(plan.tiles.size());
    std::iota(request.tiles.begin(), request.tiles.end(), Index{0});
    options = {.data_type = type, .num_threads = 2};
  }

  Recorder run() {
    Recorder recorder;
    compute_tiles(request, options, recorder);
    return recorder;
  }

  Program program = program_of(kSmallResidual, kShape);
  ArraySource rows;
  std::optional<ArraySource> columns;
  ArrayUpstream upstream;
  TilePlan plan;
  ComputeRequest request;
  ComputeOptions options;
};

std::vector<MatrixImages> both_forms(Index n, Index m) {
  return {MatrixImages::square(random_images(1, kShape, n)),
          MatrixImages::cross(random_images(2, kShape, n), random_images(3, kShape, m))};
}

}  // namespace

TEST_CASE("a gradient has the same bits for 1, 2, 3 and 8 threads") {
  const Program program = program_of(kSmallResidual, kShape);
  const Index n = many_or_few(150, 50), m = many_or_few(70, 30);
  for (const MatrixImages& matrix : both_forms(n, m)) {
    const auto upstream = random_numbers(4, matrix.num_entries());
    for (const DataType type : kDataTypes) {
      CAPTURE(name_of(type));
      for (const Index tile_size : {many_or_few(40, 16), n}) {
        const auto expected = lane_gradient(program, matrix, upstream, {type, 1, tile_size});
        for (const int num_threads : {2, 3, 8}) {
          CAPTURE(num_threads);
          CHECK(lane_gradient(program, matrix, upstream, {type, num_threads, tile_size}) ==
                expected);
        }
      }
    }
  }
}

TEST_CASE("a jacobian has the same bits for every thread count and tile size") {
  const Program program = program_of(kSmallResidual, kShape);
  for (const MatrixImages& matrix : both_forms(45, 30)) {
    for (const DataType type : kDataTypes) {
      CAPTURE(name_of(type));
      const auto expected = lane_jacobian(program, matrix, {type, 1, 45});
      for (const Index tile_size : {1, 8, 20, 45}) {
        CAPTURE(tile_size);
        CHECK(lane_jacobian(program, matrix, {type, 3, tile_size}) == expected);
      }
    }
  }
}

TEST_CASE("the sum of tile gradients in the plan's order is the gradient, bit for bit") {
  for (const MatrixImages& matrix : both_forms(50, 30)) {
    const auto values = random_numbers(7, matrix.num_entries());
    for (const DataType type : kDataTypes) {
      CAPTURE(name_of(type));
      TileRun all(matrix, values, 16, type);
      const Recorder recorder = all.run();
      CHECK(recorder.tiles == all.request.tiles);
      std::vector<double> sum(all.program.parameters.size(), 0.0);
      for (const auto& gradient : recorder.gradients) {
        for (std::size_t p = 0; p < sum.size(); ++p) sum[p] += gradient[p];
      }
      CHECK(sum == lane_gradient(all.program, matrix, values, {type, 3, 16}));
    }
  }
}

TEST_CASE("a tile has the same gradient whichever others are computed with it") {
  for (const MatrixImages& matrix : both_forms(50, 30)) {
    const auto values = random_numbers(8, matrix.num_entries());
    TileRun all(matrix, values, 16, DataType::kFloat32),
        some(matrix, values, 16, DataType::kFloat32);
    const Recorder expected = all.run();
    some.request.tiles = {1, 4, 5};
    const Recorder recorder = some.run();
    for (std::size_t i = 0; i < 3; ++i) {
      CHECK(recorder.gradients[i] ==
            expected.gradients[static_cast<std::size_t>(some.request.tiles[i])]);
    }
  }
}

TEST_CASE("K comes along with a gradient with the bits that it has alone, and changes none") {
  for (const MatrixImages& matrix : both_forms(40, 20)) {
    // Zeros in the upstream: the pass skips whole packs, K must be there all the same.
    std::vector<double> values(matrix.num_entries(), 0.0);
    values[3] = 1;
    for (const DataType type : kDataTypes) {
      // A mixture's branches stay apart on a tape: K then is another sum of the same terms.
      for (const char* network : {kWithoutMixture, kLayers}) {
        TileRun alone(matrix, values, 16, type), together(matrix, values, 16, type),
            kernel(matrix, values, 16, type);
        for (TileRun* run : {&alone, &together, &kernel}) {
          run->program = program_of(network, kShape);
        }
        together.request.content = content_of(true, Derivative::kGradient);
        kernel.request.content = content_of(true, Derivative::kNone);
        const Recorder without = alone.run(), with = together.run(), only_kernel = kernel.run();
        CHECK(with.gradients == without.gradients);
        CHECK(with.kernels == only_kernel.kernels);
        for (const auto& entries : without.kernels) CHECK(entries.empty());
      }
    }
  }
}

TEST_CASE("a gradient has the same bits whatever the memory bound") {
  for (const MatrixImages& matrix : both_forms(100, 80)) {
    const auto values = random_numbers(9, matrix.num_entries());
    TileRun plenty(matrix, values, 16, DataType::kFloat32),
        little(matrix, values, 16, DataType::kFloat32);
    // The least: lower the bound until the plan refuses it.
    std::size_t least = plan_memory(little.request, little.options).total_bytes;
    for (std::size_t bytes = least; bytes > 0; bytes -= bytes / 16 + 1) {
      little.options.memory_bytes = bytes;
      try {
        plan_memory(little.request, little.options);
        least = bytes;
      } catch (const Error&) {
        break;
      }
    }
    little.options.memory_bytes = least;
    REQUIRE(plan_memory(little.request, little.options).num_blocks <
            plan_memory(plenty.request, plenty.options).num_blocks);
    CHECK(little.run().gradients == plenty.run().gradients);
  }
}

// The terms of every pair have the same bits in any tile; only the order of sums changes. In
// float32 sums over lanes and rows are taken in that type: kGradientRoundings on either side.
TEST_CASE("gradients for different tile sizes agree within the rounding of their sums") {
  const Program program = program_of(kSmallResidual, kShape);
  for (const MatrixImages& matrix : both_forms(40, 33)) {
    const auto upstream = random_numbers(10, matrix.num_entries());
    std::vector<double> magnitude(program.parameters.size(), 0.0);
    std::size_t entry = 0;
    for (Index i = 0; i < matrix.num_rows(); ++i) {
      for (Index j = 0; j < matrix.num_columns(); ++j, ++entry) {
        const auto bound = derivative_bound(program, matrix.rows[i], matrix.column(j),
                                            DataType::kFloat64, matrix.symmetric && i == j);
        for (std::size_t p = 0; p < magnitude.size(); ++p) {
          magnitude[p] += std::abs(upstream[entry]) * bound.magnitude[p];
        }
      }
    }
    for (const DataType type : kDataTypes) {
      CAPTURE(name_of(type));
      const auto expected = lane_gradient(program, matrix, upstream, {type, 1, 40});
      for (const Index tile_size : {1, 8, 17, 32}) {
        CAPTURE(tile_size);
        const auto gradient = lane_gradient(program, matrix, upstream, {type, 2, tile_size});
        for (std::size_t p = 0; p < gradient.size(); ++p) {
          CHECK(std::abs(gradient[p] - expected[p]) <=
                2 * kGradientRoundings * unit_rounding(type) * magnitude[p]);
        }
      }
    }
  }
}

}  // namespace gramtile::test::gradient_bits_test
