// Prepared blocks are read when needed and kept while they fit; workspaces are handed on.
#include "engine/schedule/block_cache.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <thread>
#include <utility>
#include <vector>

#include "engine/backend/lanes/lanes_backend.hpp"
#include "engine/backend/lanes/prepared_block.hpp"
#include "engine/core/array_source.hpp"
#include "engine/core/errors.hpp"
#include "engine/parallel/workspace_pool.hpp"
#include "engine/reference/reference.hpp"
#include "engine/simd/kernels.hpp"
#include "tests/support/lane_runs.hpp"

namespace gramtile::block_cache_test {
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

/// A cache of the lanes' blocks, with a backend of its own.
template <class T>
class LaneCache {
 public:
  LaneCache(const Program& program, Index block_size, Index capacity, Executor& executor)
      : backend_(lanes_backend().make(
            {.program = &program,
             .data_type = sizeof(T) == 4 ? DataType::kFloat32 : DataType::kFloat64,
             .tile_size = block_size},
            executor)),
        cache_(*backend_, program.input, capacity) {}

  std::shared_ptr<const PreparedBlock<T>> get(BlockSource& source, Range examples) {
    return std::static_pointer_cast<const PreparedBlock<T>>(cache_.get(source, examples));
  }

 private:
  std::unique_ptr<Backend> backend_;
  BlockCache cache_;
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
  LaneCache<float> cache(f.program, 10, 2, *f.executor);
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
  LaneCache<double> cache(f.program, 10, 4, *f.executor);
  const auto block = cache.get(f.source, {0, 10});
  CHECK(cache.get(other, {0, 10}) != block);
  CHECK(cache.get(f.source, {0, 9}) != block);
  CHECK(other.num_reads == 1);
  CHECK(f.source.num_reads == 2);
}

TEST_CASE("a block dropped from the cache lives on with its user") {
  Fixture f;
  LaneCache<double> cache(f.program, 10, 1, *f.executor);
  const auto block = cache.get(f.source, {0, 10});
  cache.get(f.source, {10, 20});
  CHECK(block->examples == Range{0, 10});
}

TEST_CASE("a new block takes the buffers of the unused one used longest ago, on any thread") {
  Fixture f;
  LaneCache<float> cache(f.program, 10, 2, *f.executor);
  const auto used = cache.get(f.source, {0, 10});
  auto given_back = cache.get(f.source, {10, 20});
  const PreparedBlock<float>* const buffers = given_back.get();
  std::jthread([block = std::move(given_back)]() mutable { block.reset(); }).join();
  const auto next = cache.get(f.source, {20, 30});
  CHECK(next.get() == buffers);
  CHECK(next->examples == Range{20, 30});
  CHECK(used->examples == Range{0, 10});
  CHECK(f.source.num_reads == 3);
}

TEST_CASE("a block beyond the capacity lives while it is used and is the first to go") {
  Fixture f;
  LaneCache<float> cache(f.program, 10, 1, *f.executor);
  const auto used = cache.get(f.source, {0, 10});
  cache.get(f.source, {10, 20});  // beyond: the only one is in use
  cache.get(f.source, {20, 30});
  CHECK(cache.get(f.source, {0, 10}) == used);
  CHECK(f.source.num_reads == 3);
}

TEST_CASE("a block in used buffers has the bits of one in fresh ones, whatever its length") {
  Fixture f;
  for (const Range examples : {Range{20, 30}, Range{11, 14}, Range{0, 1}}) {
    CAPTURE(examples.size());
    LaneCache<float> used(f.program, 10, 1, *f.executor), fresh(f.program, 10, 1, *f.executor);
    used.get(f.source, {0, 10});
    const auto a = used.get(f.source, examples), b = fresh.get(f.source, examples);
    REQUIRE(a->view.pack_stride == b->view.pack_stride);
    REQUIRE(a->view.row_stride == b->view.row_stride);
    CHECK(a->examples == b->examples);
    CHECK(a->diagonal == b->diagonal);
    CHECK(std::equal(b->packs.data(), b->packs.data() + b->packs.size(), a->packs.data()));
    CHECK(std::equal(b->rows.data(), b->rows.data() + b->rows.size(), a->rows.data()));
  }
}

TEST_CASE("a longer block than the one it replaces gets buffers that suffice") {
  Fixture f;
  LaneCache<float> cache(f.program, 20, 1, *f.executor), fresh(f.program, 20, 1, *f.executor);
  cache.get(f.source, {0, 1});
  const auto a = cache.get(f.source, {0, 20}), b = fresh.get(f.source, {0, 20});
  REQUIRE(a->packs.size() == b->packs.size());
  CHECK(std::equal(b->packs.data(), b->packs.data() + b->packs.size(), a->packs.data()));
}

TEST_CASE("a block outlives its cache") {
  Fixture f;
  std::shared_ptr<const PreparedBlock<float>> block;
  {
    LaneCache<float> cache(f.program, 10, 1, *f.executor);
    block = cache.get(f.source, {0, 10});
  }
  CHECK(static_cast<double>(block->rows[0]) == doctest::Approx(f.images.pixels[0]));
}

// For the thread sanitizer: a buffer is overwritten right after another thread's last look at it.
TEST_CASE("a block keeps its contents for as long as any thread uses it") {
  Fixture f;
  constexpr int kNumThreads = 4, kNumRounds = 200;
  LaneCache<float> cache(f.program, 1, 2, *f.executor);
  std::mutex mutex;  // one thread fetches at a time
  int num_fetched = 0;
  std::atomic<int> num_wrong = 0;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < kNumThreads; ++t) {
      threads.emplace_back([&] {
        for (int round = 0; round < kNumRounds; ++round) {
          std::shared_ptr<const PreparedBlock<float>> block;
          Index example = 0;
          {
            const std::lock_guard lock(mutex);
            example = (num_fetched++ * 7) % 30;
            block = cache.get(f.source, {example, example + 1});
          }
          const auto copy = block;
          block.reset();
          std::this_thread::yield();
          const auto values = static_cast<std::size_t>(kShape.num_values());
          const double pixel = f.images.pixels[static_cast<std::size_t>(example) * values];
          if (copy->examples.start != example || copy->rows[0] != static_cast<float>(pixel))
            ++num_wrong;
        }
      });
    }
  }
  CHECK(num_wrong == 0);
}

/// Reads once and fails from then on.
class FailingSource : public CountingSource {
 public:
  using CountingSource::CountingSource;
  void read(Range examples, std::span<double> pixels) override {
    CountingSource::read(examples, pixels);
    if (num_reads > 1) throw DataError("x", "cannot be read");
  }
};

TEST_CASE("a block that could not be read is never lent") {
  Fixture f;
  FailingSource source(f.images);
  LaneCache<float> cache(f.program, 10, 1, *f.executor);
  cache.get(source, {0, 10});
  CHECK_THROWS_AS(cache.get(source, {10, 20}), DataError);
  CHECK_THROWS_AS(cache.get(source, {10, 20}), DataError);
  CHECK_THROWS_AS(cache.get(source, {0, 10}), DataError);  // its buffers were taken
  CHECK(source.num_reads == 4);
}

TEST_CASE(
    "a prepared block holds the variance of every example, roots and inverses in two layouts") {
  Fixture f;
  LaneCache<double> cache(f.program, 30, 1, *f.executor);
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
      // 3 × 3 pixels, one group of rows: column by column.
      const Index place = i / 9 * 9 + i % 9 % 3 * 3 + i % 9 / 3;
      CHECK(row[place] == f.images[e + 3][static_cast<std::size_t>(i)]);
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
}  // namespace gramtile::block_cache_test
