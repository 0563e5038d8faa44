// The pipeline on another backend than the lanes: blocks, cache, memory plan, executor, upstream
// and sink know nothing of who computes. On the textbook reference, every number that leaves is the
// reference's, bit for bit.
#include "engine/backend/backend.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cmath>
#include <cstring>
#include <limits>
#include <mutex>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "engine/backend/lanes/lanes_backend.hpp"
#include "engine/core/array_source.hpp"
#include "engine/core/array_upstream.hpp"
#include "engine/core/errors.hpp"
#include "engine/reference/reference.hpp"
#include "engine/simd/instruction_set.hpp"
#include "tests/support/lane_runs.hpp"
#include "tests/support/reference_backend.hpp"

namespace gramtile::backend_test {
namespace {

using test::Images;

constexpr const char* kNetwork = R"({"layers": [
  {"type": "conv2d", "kernel_size": 3, "var_weight": 1.7, "var_bias": 0.1}, {"type": "relu"},
  {"type": "sum", "branches": [[], [{"type": "conv2d", "kernel_size": 3, "var_bias": 0.2},
                                     {"type": "erf"}]]},
  {"type": "conv2d", "kernel_size": 3, "padding": 0}]})";

struct Case {
  Program program = test::program_of(kNetwork, {.channels = 2, .height = 3, .width = 3});
  Images x = test::random_images(1, program.input, 13),
         y = test::random_images(2, program.input, 6);
  Index num_parameters() const { return static_cast<Index>(program.parameters.size()); }

  /// The reference's entry (i, j) of K(x, x).
  reference::PairGradient symmetric(Index i, Index j) const {
    return i == j ? reference::kernel_diagonal_gradient(program, x[i])
                  : reference::kernel_gradient(program, x[std::min(i, j)], x[std::max(i, j)]);
  }
};

double rounded(double value, DataType type) {
  return type == DataType::kFloat64 ? value : static_cast<double>(static_cast<float>(value));
}

struct Setting {
  DataType type;
  int num_threads;
  Index tile_size;
};

const Setting kSettings[] = {{DataType::kFloat64, 1, 13},
                             {DataType::kFloat64, 3, 4},
                             {DataType::kFloat32, 2, 5},
                             {DataType::kFloat32, 1, 1}};

ComputeOptions options_of(const Setting& setting) {
  return {.data_type = setting.type,
          .num_threads = setting.num_threads,
          .backend = &test::reference_backend()};
}

TEST_CASE("on the reference backend K and its jacobian are the reference's, bit for bit") {
  const Case c;
  for (const Setting& setting : kSettings) {
    CAPTURE(setting.tile_size);
    ArraySource x = ArraySource::view(c.x.shape, c.x.pixels);
    ArraySource y = ArraySource::view(c.y.shape, c.y.pixels);
    const ArrayResult own = compute_arrays(c.program, x, nullptr, options_of(setting),
                                           Derivative::kJacobian, nullptr, setting.tile_size);
    const ArrayResult cross = compute_arrays(c.program, y, &x, options_of(setting),
                                             Derivative::kJacobian, nullptr, setting.tile_size);
    const Index n = c.x.size(), m = c.y.size();
    for (Index i = 0; i < n; ++i) {
      for (Index j = 0; j < n; ++j) {
        const auto expected = c.symmetric(i, j);
        CHECK(own.kernel[as_size(i * n + j)] == rounded(expected.kernel, setting.type));
        for (Index p = 0; p < c.num_parameters(); ++p)
          REQUIRE(own.jacobian[as_size((p * n + i) * n + j)] ==
                  rounded(expected.gradient[as_size(p)], setting.type));
      }
    }
    for (Index i = 0; i < m; ++i) {
      for (Index j = 0; j < n; ++j) {
        const auto expected = reference::kernel_gradient(c.program, c.y[i], c.x[j]);
        CHECK(cross.kernel[as_size(i * n + j)] == rounded(expected.kernel, setting.type));
        for (Index p = 0; p < c.num_parameters(); ++p)
          REQUIRE(cross.jacobian[as_size((p * m + i) * n + j)] ==
                  rounded(expected.gradient[as_size(p)], setting.type));
      }
    }
  }
}

// Every product and every addition, in whatever order, is off by half a unit at most: n² + 1 of
// them by (n² + 1) · 2⁻⁵² of Σ |terms|, generously.
TEST_CASE("on the reference backend a gradient is the sum of the reference's derivatives") {
  const Case c;
  const Index n = c.x.size();
  std::vector<double> values(as_size(n * n));
  test::Random random(5);
  for (double& value : values) value = random.normal();
  for (const Setting& setting : kSettings) {
    CAPTURE(setting.tile_size);
    ArraySource x = ArraySource::view(c.x.shape, c.x.pixels);
    ArrayUpstream upstream(values, n, n);
    const ArrayResult result = compute_arrays(c.program, x, nullptr, options_of(setting),
                                              Derivative::kGradient, &upstream, setting.tile_size);
    for (Index p = 0; p < c.num_parameters(); ++p) {
      double expected = 0, size = 0;
      for (Index i = 0; i < n; ++i) {
        for (Index j = 0; j < n; ++j) {
          const double term = values[as_size(i * n + j)] * c.symmetric(i, j).gradient[as_size(p)];
          expected += term;
          size += std::abs(term);
        }
      }
      CHECK(std::abs(result.gradient[as_size(p)] - expected) <=
            static_cast<double>(n * n + 1) * 0x1p-52 * size);
    }
  }
}

/// Passes everything on and notes what it is asked for. Fills a plane with NaN on request.
class WatchedBackend final : public BackendKind {
 public:
  std::string_view name() const override { return "watched"; }
  Footprint footprint(const BackendRequest& request) const override {
    Footprint own = test::reference_backend().footprint(request);
    own.thread_bytes = thread_bytes;
    return own;
  }
  std::unique_ptr<Backend> make(const BackendRequest& request, Executor& executor) const override {
    return std::make_unique<Watch>(*this, test::reference_backend().make(request, executor));
  }

  std::size_t thread_bytes = 0;
  bool spoils_kernel = false;
  mutable std::atomic<int> num_prepared = 0;
  mutable std::mutex mutex;
  mutable std::multiset<Index> tiles;  ///< number of pairs of each

 private:
  struct Watch final : Backend {
    Watch(const WatchedBackend& watched, std::unique_ptr<Backend> inner)
        : kind(watched), backend(std::move(inner)) {}
    void prepare(Range examples, std::span<const double> pixels,
                 std::unique_ptr<BackendBlock>& block) override {
      ++kind.num_prepared;
      backend->prepare(examples, pixels, block);
    }
    void compute(const TileJob& job) override {
      backend->compute(job);
      const Index columns = job.columns == nullptr ? 1 : job.columns->examples.size();
      const std::lock_guard lock(kind.mutex);
      kind.tiles.insert(job.rows->examples.size() * columns);
      if (!kind.spoils_kernel) return;
      const double nan = std::numeric_limits<double>::quiet_NaN();
      const std::span<std::byte> kernel = job.plane(kKernelPlane);
      std::memcpy(&kernel[kernel.size() - sizeof nan], &nan, sizeof nan);
    }
    const WatchedBackend& kind;
    std::unique_ptr<Backend> backend;
  };
};

TEST_CASE("every tile of the plan is computed once, from blocks that the cache keeps") {
  const Case c;
  const WatchedBackend backend;
  ArraySource x = ArraySource::view(c.x.shape, c.x.pixels);
  compute_arrays(c.program, x, nullptr,
                 {.data_type = DataType::kFloat64, .num_threads = 2, .backend = &backend},
                 Derivative::kNone, nullptr, 5);
  // Blocks of 5, 5 and 3 images.
  CHECK(backend.num_prepared == 3);
  CHECK(backend.tiles == std::multiset<Index>{25, 25, 15, 25, 15, 9});
}

TEST_CASE("a backend's entry that is not finite is refused by its name in the matrix") {
  const Case c;
  WatchedBackend backend;
  backend.spoils_kernel = true;
  ArraySource x = ArraySource::view(c.x.shape, c.x.pixels);
  std::string message;
  try {
    compute_arrays(c.program, x, nullptr,
                   {.data_type = DataType::kFloat64, .num_threads = 1, .backend = &backend},
                   Derivative::kNone, nullptr, 5);
  } catch (const Error& error) {
    message = error.what();
  }
  CHECK(message.find("K[4, 4] is not finite") != std::string::npos);
}

TEST_CASE("the memory plan counts what the backend says, results and pixels") {
  const Case c;
  WatchedBackend backend;
  backend.thread_bytes = 1 << 20;
  const TilePlan plan = plan_tiles({{"Kxx", MatrixKind::kSymmetric, 100, 100}}, 16);
  for (const Derivative derivative :
       {Derivative::kNone, Derivative::kGradient, Derivative::kJacobian}) {
    const ComputeRequest request{.program = &c.program,
                                 .plan = &plan,
                                 .sources = {},
                                 .tiles = {},
                                 .content = content_of(true, derivative)};
    const ComputeOptions options{
        .data_type = DataType::kFloat64, .num_threads = 3, .backend = &backend};
    const MemoryPlan memory = plan_memory(request, options);
    const Footprint own = backend.footprint(
        {.program = &c.program, .data_type = DataType::kFloat64, .tile_size = 16});
    const std::size_t plane = 16 * 16 * sizeof(double);
    std::size_t tile = own.tile_bytes + plane;
    if (derivative == Derivative::kJacobian) tile += plane * c.program.parameters.size();
    if (derivative == Derivative::kGradient) tile += 2 * plane;
    CHECK(memory.block_bytes == own.block_bytes);
    CHECK(memory.tile_bytes == tile);
    const std::size_t pixels = as_size(16 * c.program.input.num_values()) * sizeof(double);
    CHECK(memory.total_bytes == as_size(memory.num_blocks) * own.block_bytes +
                                    as_size(memory.num_live_tiles) * tile + 3 * own.thread_bytes +
                                    pixels);
  }
}

TEST_CASE("a run that names no backend takes the lanes of the instruction set in use") {
  CHECK(&backend_of({}) == &lanes_backend());
  CHECK(backend_of({}).name() == instruction_set());
  CHECK(backend_of({.backend = &test::reference_backend()}).name() == "reference");
}

}  // namespace
}  // namespace gramtile::backend_test
