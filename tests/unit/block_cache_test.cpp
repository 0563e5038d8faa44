// Prepared blocks are read when needed and kept while they fit; workspaces are handed on.
#include "engine/schedule/block_cache.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "engine/core/array_source.hpp"
#include "engine/reference/reference.hpp"
#include "engine/simd/kernels.hpp"
#include "tests/support/lane_runs.hpp"

namespace gramtile {
namespace {

constexpr ImageShape kShape{.channels = 2, .height = 3, .width = 3};
constexpr const char* kNetwork = R"({"layers": [
  {"type": "conv2d", "kernel_size": 3, "var_bias": 0.1}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 3, "padding": 0}]})";

/// Images that count how often they are read.
class CountingSource : public BlockSource {
 public:
  explicit CountingSource(const test::Images& images)
      : source_(ArraySource::view(images.shape, images.pixels)) {}
  ImageShape shape() const override { return source_.shape(); }
  Index num_examples() const override { return source_.num_examples(); }
  void read(Range examples, std::span<double> pixels) override {
    source_.read(examples, pixels);
    ++num_reads;
  }
  int num_reads = 0;

 private:
  ArraySource source_;
};

struct Fixture {
  Program program = test::program_of(kNetwork, kShape);
  LaneProgram lanes = compile_lanes(program, false);
  test::Images images = test::random_images(1, kShape, 30);
  CountingSource source{images};
  std::unique_ptr<Executor> executor = make_executor(2);
};

TEST_CASE("a block at hand is not read again; the one used longest ago makes room") {
  Fixture f;
  BlockCache<float> cache(f.lanes, 10, 2, *f.executor);
  const auto first = cache.get(f.source, {0, 10});
  cache.get(f.source, {10, 20});
  CHECK(f.source.num_reads == 2);
  CHECK(cache.get(f.source, {0, 10}) == first);
  CHECK(f.source.num_reads == 2);
  cache.get(f.source, {20, 30});  // drops [10, 20)
  CHECK(cache.get(f.source, {0, 10}) == first);
  CHECK(f.source.num_reads == 3);
  cache.get(f.source, {10, 20});
  CHECK(f.source.num_reads == 4);
}

TEST_CASE("blocks of different sources and lengths are different blocks") {
  Fixture f;
  CountingSource other(f.images);
  BlockCache<double> cache(f.lanes, 10, 4, *f.executor);
  const auto block = cache.get(f.source, {0, 10});
  CHECK(cache.get(other, {0, 10}) != block);
  CHECK(cache.get(f.source, {0, 9}) != block);
  CHECK(other.num_reads == 1);
  CHECK(f.source.num_reads == 2);
}

TEST_CASE("a block dropped from the cache lives on with its user") {
  Fixture f;
  BlockCache<double> cache(f.lanes, 10, 1, *f.executor);
  const auto block = cache.get(f.source, {0, 10});
  cache.get(f.source, {10, 20});
  CHECK(block.use_count() == 1);
  CHECK(block->examples == Range{0, 10});
}

TEST_CASE(
    "a prepared block holds the variance of every example, roots and inverses in two layouts") {
  Fixture f;
  BlockCache<double> cache(f.lanes, 30, 1, *f.executor);
  const auto block = cache.get(f.source, {3, 16});
  const Index lanes = simd::kernels<double>().lanes;
  const Index values = values_per_example(f.lanes.view());
  REQUIRE(values == 18 + 2 * 9);
  for (Index e = 0; e < 13; ++e) {
    // 30 roundings of positive terms in either engine.
    CHECK(block->diagonal[static_cast<std::size_t>(e)] ==
          doctest::Approx(reference::kernel_diagonal(f.program, f.images[e + 3])).epsilon(1e-14));
    const double* row = block->view.rows + e * block->view.row_stride;
    const double* pack = block->view.packs + e / lanes * block->view.pack_stride + e % lanes;
    for (Index i = 0; i < 18; ++i) {
      CHECK(row[i] == f.images[e + 3][static_cast<std::size_t>(i)]);
    }
    for (Index i = 0; i < values; ++i) {
      const double factor = i < 27 ? 1 : 0.5;  // rows hold half the inverse
      CHECK(row[i] == factor * pack[i * lanes]);
    }
    for (Index p = 18; p < 27; ++p) CHECK(row[p] * row[p + 9] == doctest::Approx(0.5));
  }
}

TEST_CASE("a workspace that came back is lent again; one more is made only when none is free") {
  std::atomic<int> num_made = 0;
  WorkspacePool<int> pool([&] { return ++num_made; });
  {
    auto first = pool.borrow();
    auto second = pool.borrow();
    CHECK(*first == 1);
    CHECK(*second == 2);
  }
  {
    auto again = pool.borrow();
    CHECK(num_made == 2);
  }
  std::vector<std::jthread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      for (int i = 0; i < 1000; ++i) {
        auto workspace = pool.borrow();
        ++*workspace;
      }
    });
  }
  threads.clear();
  CHECK(num_made <= 4);
}

}  // namespace
}  // namespace gramtile
