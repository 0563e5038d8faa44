// Every objective's gradient against central differences in float64: variances, named and scaled
// ones, logits, the noise; frozen ones are no coordinates.
#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <functional>
#include <random>
#include <string>
#include <vector>

#include "engine/core/worst_of.hpp"
#include "engine/train/batches.hpp"
#include "engine/train/training_function.hpp"
#include "io/train/disk_room.hpp"
#include "tests/support/lane_runs.hpp"

namespace gramtile::test::training_gradient_test {
namespace {

constexpr ImageShape kShape{.channels = 1, .height = 6, .width = 6};
constexpr Index kNumImages = 14;

/// Weights of their own, shared, scaled and frozen; a bias of each kind; a mixture.
constexpr const char* kNetwork = R"({
  "parameters": {"shared": 1.7, "frozen": {"value": 0.3, "trainable": false}},
  "layers": [
    {"type": "conv2d", "kernel_size": 3, "var_weight": 2.5, "var_bias": 0.2},
    {"type": "relu"},
    {"type": "conv2d", "kernel_size": 3, "var_weight": "shared", "var_bias": "frozen"},
    {"type": "mixture", "logits": [0.3, -0.4], "branches": [
      [], [{"type": "relu"}, {"type": "conv2d", "kernel_size": 3,
            "var_weight": {"parameter": "shared", "scale": 0.5}, "var_bias": 0.1}]]},
    {"type": "erf"},
    {"type": "conv2d", "kernel_size": 6, "padding": 0, "var_weight": 1.1}
  ]})";

Targets random_targets(std::uint64_t seed, Index outputs) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  Targets result{.values = {}, .num_outputs = outputs};
  for (Index i = 0; i < kNumImages * outputs; ++i) result.values.push_back(normal(random));
  return result;
}

/// Central differences of three widths and Richardson's extrapolation of the last two.
double difference(const std::function<double(double)>& f) {
  const double h = 1e-3;
  const double wide = (f(2 * h) - f(-2 * h)) / (4 * h), narrow = (f(h) - f(-h)) / (2 * h);
  return (4 * narrow - wide) / 3;
}

void check_gradient(const Objective& objective, MatrixRoom& room, double noise) {
  CAPTURE(std::string(objective.name()));
  const Program program = program_of(kNetwork, kShape);
  const ParameterSpace space(program, noise, false);
  const Images images = random_images(5, kShape, kNumImages);
  ArraySource source(kShape, images.pixels);
  const Targets targets = random_targets(3, 3);
  const std::vector<Index> subset = draw_examples(1, 0, 1, kNumImages, 6);
  TrainingFunction function(program, space, objective, room, {.data_type = DataType::kFloat64});
  const auto evaluate = [&](std::span<const double> point) {
    return function.evaluate(
        point, {source, targets, objective.needs_subset() ? subset : std::vector<Index>{}});
  };
  const std::vector<double> start = space.start();
  const Evaluation here = evaluate(start);
  REQUIRE(here.gradient.size() == start.size());
  double largest = 0;
  for (const double g : here.gradient) largest = worst_of(largest, std::abs(g));
  REQUIRE(largest > 1e-3);
  for (std::size_t i = 0; i < start.size(); ++i) {
    CAPTURE(space.name(static_cast<Index>(i)));
    const double expected = difference([&](double step) {
      std::vector<double> point = start;
      point[i] += step;
      return evaluate(point).value;
    });
    CHECK(std::abs(here.gradient[i] - expected) <= 1e-6 * largest);
  }
}

}  // namespace

TEST_SUITE("reference") {
  TEST_CASE("every objective's gradient is what differences say") {
    const auto room = make_memory_room({.num_threads = 1, .edge = 8});
    const auto disk = make_disk_room(std::filesystem::temp_directory_path().string(),
                                     {.num_threads = 1, .edge = 8, .memory_bytes = 1 << 13});
    for (const Objective* objective : objectives()) {
      check_gradient(*objective, *room, 0.05);
      check_gradient(*objective, *disk, 0.05);
    }
  }

  TEST_CASE("coordinates: logarithms of what is trained, logits, and the noise") {
    const Program program = program_of(kNetwork, kShape);
    const ParameterSpace space(program, 1e-3, false);
    std::vector<std::string> names;
    for (Index i = 0; i < space.size(); ++i) names.push_back(space.name(i));
    CHECK(names == std::vector<std::string>{"log conv0.var_weight", "log conv0.var_bias",
                                            "mixture0.logit0", "mixture0.logit1",
                                            "log conv2.var_bias", "log conv3.var_weight",
                                            "log shared", "log noise"});
    CHECK(ParameterSpace(program, 1e-3, true).size() == space.size() - 1);
  }

  TEST_CASE("rho of kernel flows is between 0 and 1") {
    const Program program = program_of(kNetwork, kShape);
    const ParameterSpace space(program, 1e-4, true);
    const Images images = random_images(9, kShape, kNumImages);
    ArraySource source(kShape, images.pixels);
    const auto room = make_memory_room({.num_threads = 1, .edge = 8});
    TrainingFunction function(program, space, kernel_flow(), *room,
                              {.data_type = DataType::kFloat64});
    for (Index step = 0; step < 60; ++step) {
      const auto subset = draw_examples(2, step, 1, kNumImages, 1 + step % (kNumImages - 1));
      const Targets targets = random_targets(static_cast<std::uint64_t>(step), 1 + step % 4);
      const double rho = function.evaluate(space.start(), {source, targets, subset}).value;
      CHECK(rho >= -1e-12);
      CHECK(rho <= 1 + 1e-12);
    }
  }
}

}  // namespace gramtile::test::training_gradient_test
