// The division of a memory bound, and that a run with little memory computes the same.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>

#include "engine/core/array_source.hpp"
#include "engine/core/errors.hpp"
#include "engine/network/presets.hpp"
#include "engine/schedule/compute.hpp"
#include "tests/support/lane_runs.hpp"

namespace gramtile::memory_plan_test {
namespace {

constexpr std::size_t kMebibyte = std::size_t{1} << 20;
constexpr ImageShape kMnist{.channels = 1, .height = 28, .width = 28};

struct Request {
  explicit Request(Index tile_size, Derivative derivative = Derivative::kNone)
      : program(lower(*preset_network("convnet-gp"), kMnist)),
        plan(plan_tiles({{"Kxx", MatrixKind::kSymmetric, 2000, 2000}}, tile_size)) {
    request.program = &program;
    request.plan = &plan;
    request.content = content_of(true, derivative);
  }

  Program program;
  TilePlan plan;
  ComputeRequest request;
};

std::string refusal(const Request& request, const ComputeOptions& options) {
  try {
    plan_memory(request.request, options);
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kUsage);
    return error.what();
  }
  return "";
}

/// The number before " MiB" that the message calls enough.
std::size_t least_mebibytes(const std::string& message) {
  const std::size_t at = message.find("at least ");
  REQUIRE(at != std::string::npos);
  return std::stoul(message.substr(at + 9));
}

TEST_CASE("a memory plan stays within its bound and its parts add up") {
  for (const Derivative derivative :
       {Derivative::kNone, Derivative::kGradient, Derivative::kJacobian}) {
    for (const DataType type : {DataType::kFloat32, DataType::kFloat64}) {
      const Request request(128, derivative);
      for (const std::size_t mebibytes : {200, 256, 400, 1024, 4096}) {
        CAPTURE(mebibytes);
        const ComputeOptions options{
            .data_type = type, .num_threads = 2, .memory_bytes = mebibytes * kMebibyte};
        const MemoryPlan plan = plan_memory(request.request, options);
        CHECK(plan.total_bytes <= options.memory_bytes);
        CHECK(plan.num_live_tiles >= 1);
        CHECK(plan.num_blocks >= 2);
        CHECK(plan.total_bytes >=
              static_cast<std::size_t>(plan.num_blocks) * plan.block_bytes +
                  static_cast<std::size_t>(plan.num_live_tiles) * plan.tile_bytes);
      }
    }
  }
}

TEST_CASE("a block holds pixels, roots and inverses of every relu, twice") {
  // 128 images of 784 pixels and 7 maps of √xx and 1/√xx, in two layouts of 4 bytes.
  const MemoryPlan plan = plan_memory(Request(128).request, {.num_threads = 1});
  CHECK(plan.block_bytes >= 2u * 128 * 784 * 15 * 4);
  CHECK(plan.tile_bytes == 128u * 128 * 4);
}

TEST_CASE("a plan has two blocks for every tile that a thread can compute at the same time") {
  for (const Derivative derivative :
       {Derivative::kNone, Derivative::kGradient, Derivative::kJacobian}) {
    for (const int num_threads : {1, 2, 4, 16}) {
      for (const std::size_t mebibytes : {256, 512, 4096}) {
        const MemoryPlan plan =
            plan_memory(Request(64, derivative).request,
                        {.num_threads = num_threads, .memory_bytes = mebibytes * kMebibyte});
        CAPTURE(num_threads);
        CHECK(plan.num_blocks >= 2 * std::min<Index>(plan.num_live_tiles, num_threads));
      }
    }
  }
}

TEST_CASE("a gradient on up to 4 threads plans for no more blocks than 1,000 images have") {
  for (const int num_threads : {1, 2, 4}) {
    const MemoryPlan plan =
        plan_memory(Request(256, Derivative::kGradient).request, {.num_threads = num_threads});
    CHECK(plan.num_blocks == 4);
    CHECK(plan.num_live_tiles == 2);
  }
}

TEST_CASE("too little memory is refused with what would do, and that does") {
  for (const int num_threads : {1, 8}) {
    for (const Index tile_size : {16, 256}) {
      const Request request(tile_size);
      ComputeOptions options{.num_threads = num_threads, .memory_bytes = 1000};
      const std::string message = refusal(request, options);
      CHECK(message.find("--memory") != std::string::npos);
      CHECK(message.find("--tile") != std::string::npos);
      const std::size_t least = least_mebibytes(message);
      options.memory_bytes = least * kMebibyte;
      CHECK(refusal(request, options) == "");
      options.memory_bytes = (least - 1) * kMebibyte;
      CHECK(refusal(request, options) != "");
    }
  }
}

TEST_CASE("the default tile size is a multiple of 16 up to 256, and fits") {
  const Request request(16);
  for (const std::size_t mebibytes : {64, 256, 2048}) {
    for (const Index n : {1, 17, 100, 500, 60000}) {
      CAPTURE(n);
      const MatrixSpec spec{"Kxx", MatrixKind::kSymmetric, n, n};
      const ComputeOptions options{.num_threads = 2, .memory_bytes = mebibytes * kMebibyte};
      const Index size = default_tile_size(request.program, {&spec, 1}, options,
                                           content_of(true, Derivative::kNone));
      CHECK(size % 16 == 0);
      CHECK(size >= 16);
      CHECK(size <= 256);
      CHECK(size < 2 * std::max<Index>(n, 16));
      CHECK(refusal(Request(size), options) == "");
    }
  }
}

TEST_CASE("a run with the least memory has the bits of one with plenty") {
  const ImageShape shape{.channels = 1, .height = 16, .width = 16};
  const Program program = test::program_of(R"({"layers": [
    {"type": "conv2d", "kernel_size": 5, "var_bias": 0.1}, {"type": "relu"},
    {"type": "conv2d", "kernel_size": 3}, {"type": "relu"},
    {"type": "conv2d", "kernel_size": 16, "padding": 0}]})",
                                           shape);
  const test::Images images = test::random_images(1, shape, 300);
  ArraySource source = ArraySource::view(shape, images.pixels);
  const auto kernel = [&](std::size_t memory_bytes) {
    return compute_arrays(program, source, nullptr,
                          {.num_threads = 2, .memory_bytes = memory_bytes}, Derivative::kNone,
                          nullptr, 64)
        .kernel;
  };
  std::string message;
  try {
    kernel(1);
  } catch (const Error& error) {
    message = error.what();
  }
  const std::size_t least = least_mebibytes(message) * kMebibyte;
  CHECK(kernel(least) == kernel(std::size_t{1} << 30));
}

}  // namespace
}  // namespace gramtile::memory_plan_test
