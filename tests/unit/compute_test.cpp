// A run of the engine as its callers see it: which tiles arrive, when, and how it ends.
#include "engine/schedule/compute.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <cstring>
#include <numeric>
#include <stdexcept>

#include "engine/core/array_source.hpp"
#include "engine/core/errors.hpp"
#include "engine/reference/reference.hpp"
#include "tests/support/lane_runs.hpp"

namespace gramtile::compute_test {
namespace {

using test::Images;

constexpr ImageShape kShape{.channels = 1, .height = 4, .width = 4};
constexpr const char* kNetwork = R"({"layers": [
  {"type": "conv2d", "kernel_size": 3, "var_bias": 0.1}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 4, "padding": 0}]})";

/// Images in memory that note whether two threads read at once, and can fail.
class WatchedSource : public BlockSource {
 public:
  explicit WatchedSource(const Images& images)
      : source_(ArraySource::view(images.shape, images.pixels)) {}

  ImageShape shape() const override { return source_.shape(); }
  Index num_examples() const override { return source_.num_examples(); }
  void read(Range examples, std::span<double> pixels) override {
    if (reading_.exchange(true)) violated = true;
    if (examples.start >= fail_from) throw DataError("images.npy", "torn");
    source_.read(examples, pixels);
    ++num_reads;
    reading_ = false;
  }

  Index fail_from = 1'000'000;
  int num_reads = 0;
  std::atomic<bool> violated = false;

 private:
  ArraySource source_;
  std::atomic<bool> reading_ = false;
};

/// Keeps every tile.
class Recorder : public TileSink {
 public:
  void write(const TileResult& result) override {
    if (static_cast<Index>(tiles.size()) == fail_at) throw std::runtime_error("sink");
    tiles.push_back(result.tile.index);
    const std::span<const std::byte> kernel = result.plane(kKernelPlane);
    std::vector<double> entries(kernel.size() / sizeof(double));
    if (!entries.empty()) std::memcpy(entries.data(), kernel.data(), kernel.size());
    kernels.push_back(std::move(entries));
  }

  Index fail_at = -1;
  std::vector<Index> tiles;
  std::vector<std::vector<double>> kernels;
};

/// Two matrices over 50 images in tiles of 8 (28 tiles) and a diagonal of 10 (2).
struct Run {
  Run() {
    plan = plan_tiles(
        {{"Kxx", MatrixKind::kSymmetric, 50, 50}, {"Kt_diag", MatrixKind::kDiagonal, 10, 1}}, 8);
    request = {
        .program = &program, .plan = &plan, .sources = {{&x, nullptr}, {&t, nullptr}}, .tiles = {}};
    request.tiles.resize(plan.tiles.size());
    std::iota(request.tiles.begin(), request.tiles.end(), Index{0});
    options = {.data_type = DataType::kFloat64, .num_threads = 3};
  }

  Program program = test::program_of(kNetwork, kShape);
  Images images = test::random_images(1, kShape, 50),
         test_images = test::random_images(2, kShape, 10);
  WatchedSource x{images}, t{test_images};
  TilePlan plan;
  ComputeRequest request;
  ComputeOptions options;
  Recorder recorder;
};

TEST_CASE("every tile arrives once, in order, and is reported after it was written") {
  Run run;
  std::vector<Index> reported;
  compute_tiles(run.request, run.options, run.recorder, {}, [&](const Tile& tile) {
    reported.push_back(tile.index);
    CHECK(run.recorder.tiles.size() == reported.size());
  });
  CHECK(run.recorder.tiles == run.request.tiles);
  CHECK(reported == run.request.tiles);
  CHECK_FALSE(run.x.violated);
}

TEST_CASE("only the tiles asked for are computed, with the same entries") {
  Run all, some;
  compute_tiles(all.request, all.options, all.recorder);
  some.request.tiles = {3, 4, 17, 29};
  compute_tiles(some.request, some.options, some.recorder);
  CHECK(some.recorder.tiles == some.request.tiles);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(some.recorder.kernels[i] ==
          all.recorder.kernels[static_cast<std::size_t>(some.request.tiles[i])]);
  }
}

TEST_CASE("a diagonal holds the variances of the reference") {
  Run run;
  run.request.tiles = {28, 29};
  compute_tiles(run.request, run.options, run.recorder);
  for (Index i = 0; i < 10; ++i) {
    const double entry =
        run.recorder.kernels[static_cast<std::size_t>(i / 8)][static_cast<std::size_t>(i % 8)];
    // 34 roundings of positive terms on the way: two windows and a product, in either engine.
    CHECK(entry == doctest::Approx(reference::kernel_diagonal(run.program, run.test_images[i]))
                       .epsilon(1e-14));
  }
}

TEST_CASE("without K nothing of it is handed out") {
  Run run;
  run.request.content = content_of(false, Derivative::kJacobian);
  compute_tiles(run.request, run.options, run.recorder);
  CHECK(run.recorder.kernels.size() == run.plan.tiles.size());
  for (const auto& kernel : run.recorder.kernels) CHECK(kernel.empty());
}

TEST_CASE("a run of which nothing is asked, or what nobody computes, is refused") {
  Run run;
  const auto refusal = [&](const TileContent& content) {
    run.request.content = content;
    try {
      compute_tiles(run.request, run.options, run.recorder);
    } catch (const Error& error) {
      CHECK(error.kind() == ErrorKind::kUsage);
      return std::string(error.what());
    }
    return std::string();
  };
  CHECK(refusal({}) == "nothing of a tile is asked for");
  CHECK(refusal({.planes = {{.name = "spin", .prefix = "s"}}, .vector = "charge"}) ==
        "the lanes do not compute charge, spin of a tile");
  CHECK(refusal(content_of(true, Derivative::kGradient)) == "a gradient needs an upstream matrix");
  CHECK(run.recorder.tiles.empty());
}

TEST_CASE("a stop delivers the tiles in hand, whole and in order, and returns early") {
  Run all;
  compute_tiles(all.request, all.options, all.recorder);
  for (const Index stop_at : {0, 3, 11}) {
    Run run;
    std::stop_source stop;
    compute_tiles(run.request, run.options, run.recorder, stop.get_token(), [&](const Tile& tile) {
      if (tile.index == stop_at) stop.request_stop();
    });
    // At most the live tiles came after: threads + 1 of them, by the memory plan.
    const auto num_live =
        static_cast<std::size_t>(plan_memory(run.request, run.options).num_live_tiles);
    const std::size_t num_delivered = run.recorder.tiles.size();
    CHECK(num_delivered > static_cast<std::size_t>(stop_at));
    CHECK(num_delivered <= static_cast<std::size_t>(stop_at) + 1 + num_live);
    for (std::size_t i = 0; i < num_delivered; ++i) {
      CHECK(run.recorder.tiles[i] == static_cast<Index>(i));
      CHECK(run.recorder.kernels[i] == all.recorder.kernels[i]);
    }
  }
}

TEST_CASE("a run stopped before it starts delivers nothing") {
  Run run;
  std::stop_source stop;
  stop.request_stop();
  compute_tiles(run.request, run.options, run.recorder, stop.get_token());
  CHECK(run.recorder.tiles.empty());
}

TEST_CASE("what a source throws ends the run, after the tiles before it") {
  Run run;
  run.x.fail_from = 32;  // block 4, first needed by tile 4
  CHECK_THROWS_AS(compute_tiles(run.request, run.options, run.recorder), DataError);
  CHECK(run.recorder.tiles.size() <= 4);
}

TEST_CASE("what a sink throws ends the run") {
  Run run;
  run.recorder.fail_at = 5;
  CHECK_THROWS_WITH_AS(compute_tiles(run.request, run.options, run.recorder), "sink",
                       std::runtime_error);
  CHECK(run.recorder.tiles.size() == 5);
}

TEST_CASE("blocks are kept: with memory for all of them each is read once") {
  Run run;
  compute_tiles(run.request, run.options, run.recorder);
  CHECK(run.x.num_reads == 7);
  CHECK(run.t.num_reads == 2);
}

}  // namespace
}  // namespace gramtile::compute_test
