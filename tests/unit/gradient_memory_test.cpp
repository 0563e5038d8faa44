// What a gradient holds in memory, measured on the heap: no more than the plan says, and no more
// for more images. Images and upstream are made up as they are read, so nothing but the engine
// holds anything.
#include <doctest/doctest.h>
#include <malloc.h>

#include <algorithm>
#include <limits>
#include <numeric>

#include "engine/core/aligned_buffer.hpp"
#include "engine/schedule/compute.hpp"
#include "tests/support/lane_runs.hpp"

namespace gramtile::gradient_memory_test {
namespace {

// The address and thread sanitizers bring an allocator of their own, which does not report: there
// the runs are made, and nothing is said of the heap.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kHeapReports = false;
#else
constexpr bool kHeapReports = true;
#endif

constexpr ImageShape kShape{.channels = 1, .height = 12, .width = 12};

/// Bytes in use on the heap and beside it, of all threads.
std::size_t heap_bytes() {
  const struct mallinfo2 info = mallinfo2();
  return info.uordblks + info.hblkhd + bytes_in_system_buffers();
}

class Images : public BlockSource {
 public:
  explicit Images(Index num_examples) : num_examples_(num_examples) {}
  ImageShape shape() const override { return kShape; }
  Index num_examples() const override { return num_examples_; }
  void read(Range examples, std::span<double> pixels) override {
    test::Random random(static_cast<std::uint64_t>(examples.start));
    std::ranges::generate(pixels, [&] { return random.normal(); });
  }

 private:
  Index num_examples_;
};

class Upstream : public MatrixSource {
 public:
  explicit Upstream(Index size) : size_(size) {}
  Index num_rows() const override { return size_; }
  Index num_columns() const override { return size_; }
  void read(Range rows, Range columns, std::span<double> values) const override {
    for (std::size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<double>(rows.start - columns.start + 1) + static_cast<double>(i % 7);
    }
  }

 private:
  Index size_;
};

/// Most that was in use at any delivery, beyond what was there before.
struct Peak : TileSink {
  void write(const TileResult&) override { most = std::max(most, heap_bytes()); }
  std::size_t before = heap_bytes(), most = before;
  std::size_t bytes() const { return most - before; }
};

struct Measured {
  std::size_t peak_bytes, planned_bytes;
};

Measured measure(Index num_images, Derivative derivative, std::size_t memory_bytes,
                 int num_threads) {
  const Program program = test::program_of(R"({"layers": [
    {"type": "conv2d", "kernel_size": 3, "var_bias": 0.1}, {"type": "relu"},
    {"type": "conv2d", "kernel_size": 3, "var_bias": 0.1}, {"type": "relu"},
    {"type": "conv2d", "kernel_size": 12, "padding": 0}]})",
                                           kShape);
  Images images(num_images);
  Upstream upstream(num_images);
  const TilePlan plan = plan_tiles({{"Kxx", MatrixKind::kSymmetric, num_images, num_images}}, 64);
  ComputeRequest request{.program = &program,
                         .plan = &plan,
                         .sources = {{&images, nullptr}},
                         .tiles = {},
                         .content = content_of(derivative == Derivative::kNone, derivative),
                         .upstream = &upstream};
  request.tiles.resize(plan.tiles.size());
  std::iota(request.tiles.begin(), request.tiles.end(), Index{0});
  const ComputeOptions options{.num_threads = num_threads, .memory_bytes = memory_bytes};
  const std::size_t planned = plan_memory(request, options).total_bytes;
  Peak peak;
  compute_tiles(request, options, peak);
  return {peak.bytes(), planned};
}

constexpr std::size_t kMebibyte = std::size_t{1} << 20;

}  // namespace

// 10 %, as asked for. 4 blocks of 64 are what is kept; the larger K would take 50 MiB in float64.
// On a busy machine two threads may never compute at the same time in the short run, which then
// takes too little: what grows with the images grows in every try.
TEST_CASE("the memory of a gradient does not grow with the number of images") {
  for (const int num_threads : {1, 2}) {
    double least = std::numeric_limits<double>::infinity();
    for (int tries = 0; tries < 5 && least > 1.1; ++tries) {
      const Measured few = measure(256, Derivative::kGradient, 8 * kMebibyte, num_threads);
      const Measured many =
          measure(kHeapReports ? 2560 : 320, Derivative::kGradient, 8 * kMebibyte, num_threads);
      MESSAGE(num_threads << " threads, 256 images: " << few.peak_bytes << " bytes, 2560 images: "
                          << many.peak_bytes << " bytes, planned: " << many.planned_bytes);
      CHECK(few.planned_bytes == many.planned_bytes);
      if (!kHeapReports) break;
      least = std::min(least,
                       static_cast<double>(many.peak_bytes) / static_cast<double>(few.peak_bytes));
    }
    if (kHeapReports) CHECK(least <= 1.1);
  }
}

// Half a mebibyte for what the plan does not count: programs, vectors of one number per parameter,
// the scheduler's own objects.
TEST_CASE("gradients, jacobians and K stay within the memory plan") {
  for (const Derivative derivative :
       {Derivative::kNone, Derivative::kGradient, Derivative::kJacobian}) {
    CAPTURE(static_cast<int>(derivative));
    for (const std::size_t mebibytes : {8, 32}) {
      const Measured run = measure(kHeapReports ? 1152 : 192, derivative, mebibytes * kMebibyte, 2);
      CHECK(run.planned_bytes <= mebibytes * kMebibyte);
      if (!kHeapReports) continue;
      CHECK(run.peak_bytes <= run.planned_bytes + kMebibyte / 2);
      CHECK(run.peak_bytes >= run.planned_bytes / 4);  // it does measure something
    }
  }
}

}  // namespace gramtile::gradient_memory_test
