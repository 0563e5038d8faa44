// The loop of training: the same bits from any state, from any room, for any number of threads.
#include "engine/train/trainer.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "docs/examples/train.cpp"
#include "engine/core/errors.hpp"
#include "engine/network/parameter_values.hpp"
#include "engine/train/batches.hpp"
#include "io/network/network_json.hpp"
#include "io/train/disk_room.hpp"
#include "tests/support/lane_runs.hpp"

namespace gramtile::test::trainer_test {
namespace {

constexpr ImageShape kShape{.channels = 1, .height = 6, .width = 6};
constexpr Index kNumImages = 30;

constexpr const char* kNetwork = R"({"layers": [
    {"type": "conv2d", "kernel_size": 3, "var_weight": 2.5, "var_bias": 0.2}, {"type": "relu"},
    {"type": "conv2d", "kernel_size": 6, "padding": 0, "var_weight": 1.1}]})";

struct Problem {
  Program program = program_of(kNetwork, kShape);
  Images images = random_images(5, kShape, kNumImages);
  ArraySource source{kShape, images.pixels};
  std::vector<std::int64_t> labels;
  Targets targets;

  Problem() {
    for (Index i = 0; i < kNumImages; ++i) labels.push_back(i % 3);
    targets = one_hot(labels).targets;
  }
  Trainer trainer(const TrainingOptions& options, MatrixRoom& room, int num_threads,
                  std::optional<TrainingState> state = {}) {
    return {program,
            {source, targets},
            {},
            options,
            room,
            {.data_type = DataType::kFloat64, .num_threads = num_threads},
            std::move(state)};
  }
};

TrainingOptions with_batches() {
  return {.objective = &kernel_flow(),
          .optimiser = OptimiserKind::kAdam,
          .num_steps = 6,
          .batch = 20,
          .sub_batch = 8};
}
TrainingOptions without() { return {.objective = &leave_one_out_error(), .num_steps = 6}; }

void check_same(const TrainingState& a, const TrainingState& b) {
  CHECK(a.point == b.point);
  CHECK(a.optimiser == b.optimiser);
  REQUIRE(a.records.size() == b.records.size());
  for (std::size_t i = 0; i < a.records.size(); ++i) {
    CHECK(a.records[i].objective == b.records[i].objective);
    CHECK(a.records[i].by_coordinate == b.records[i].by_coordinate);
    CHECK(a.records[i].point == b.records[i].point);
  }
}

TrainingState run(Trainer trainer) {
  while (!trainer.state().ended) trainer.step();
  return trainer.state();
}

SolverOptions solver_options(int num_threads) {
  return {.num_threads = num_threads, .edge = 8, .memory_bytes = 1 << 14};
}

std::string contents(const std::string& path) {
  std::ifstream file(std::string(GRAMTILE_TESTS_DIR) + "/../" + path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

}  // namespace

TEST_CASE("training goes on from any state with the same bits") {
  Problem problem;
  const auto room = make_memory_room(solver_options(1));
  for (const TrainingOptions& options : {with_batches(), without()}) {
    const TrainingState expected = run(problem.trainer(options, *room, 1));
    TrainingState state;
    for (std::optional<TrainingState> kept; !state.ended; kept = state) {
      Trainer resumed = problem.trainer(options, *room, 1, kept);
      resumed.step();
      state = resumed.state();
    }
    check_same(state, expected);
  }
}

TEST_CASE("training has the same bits in memory and on disk, for any number of threads") {
  Problem problem;
  const std::string folder = std::filesystem::temp_directory_path().string();
  for (const TrainingOptions& options : {with_batches(), without()}) {
    const auto one = make_memory_room(solver_options(1)),
               many = make_memory_room(solver_options(3));
    const auto disk = make_disk_room(folder, solver_options(2));
    const TrainingState expected = run(problem.trainer(options, *one, 1));
    check_same(run(problem.trainer(options, *many, 3)), expected);
    check_same(run(problem.trainer(options, *disk, 2)), expected);
  }
}

TEST_CASE("a step that is stopped leaves the state as it was") {
  Problem problem;
  std::stop_source source;
  const auto room = make_memory_room(solver_options(1));
  Trainer trainer = problem.trainer(with_batches(), *room, 1);
  trainer.step();
  const TrainingState before = trainer.state();
  source.request_stop();
  CHECK_THROWS_AS(trainer.step(source.get_token()), Error);
  check_same(trainer.state(), before);
  trainer.step();
  CHECK(trainer.state().records.size() == 2);
}

TEST_CASE(
    "batches are drawn without repetition, each image as often, and depend on seed and step") {
  std::vector<int> drawn(50);
  for (Index step = 0; step < 2000; ++step) {
    const std::vector<Index> batch = draw_examples(3, step, 0, 50, 20);
    CHECK(std::set<Index>(batch.begin(), batch.end()).size() == 20);
    CHECK(std::is_sorted(batch.begin(), batch.end()));
    for (const Index i : batch) ++drawn[static_cast<std::size_t>(i)];
  }
  // 800 expected, standard deviation 22.
  for (const int count : drawn) CHECK(std::abs(count - 800) < 5 * 22);
  CHECK(draw_examples(3, 7, 0, 50, 20) == draw_examples(3, 7, 0, 50, 20));
  CHECK(draw_examples(3, 7, 0, 50, 20) != draw_examples(4, 7, 0, 50, 20));
  CHECK(draw_examples(3, 7, 0, 50, 20) != draw_examples(3, 8, 0, 50, 20));
  CHECK(draw_examples(3, 7, 0, 50, 20) != draw_examples(3, 7, 1, 50, 20));
}

TEST_CASE("trained values come back in the network that is written") {
  const std::string text =
      R"({"parameters": {"a": 1.5, "b": {"value": 2, "trainable": false}}, "layers": [
      {"type": "repeat", "times": 2, "layers": [
        {"type": "conv2d", "kernel_size": 3, "var_weight": 0.5, "var_bias": "a"}, {"type": "relu"}]},
      {"type": "repeat", "times": 2, "layers": [
        {"type": "conv2d", "kernel_size": 3, "var_weight": "b"}, {"type": "relu"}]},
      {"type": "mixture", "logits": [0.5, -1], "branches": [
        [], [{"type": "conv2d", "kernel_size": 1, "var_weight": 3, "var_bias": 4}]]},
      {"type": "conv2d", "kernel_size": 6, "padding": 0, "var_weight": 5}]})";
  const Network network = read_network(text, "test");
  Program program = lower(network, kShape);
  std::vector<double> values = parameter_values(program);
  REQUIRE(values.size() == 8);
  for (std::size_t p = 0; p < values.size(); ++p) values[p] = 0.25 + 0.5 * static_cast<double>(p);
  const Program written = lower(with_parameter_values(network, values), kShape);
  CHECK(parameter_values(written) == values);
  set_parameter_values(program, values);
  const Images images = random_images(1, kShape, 4);
  CHECK(lane_kernel(written, images, {}) == lane_kernel(program, images, {}));
  CHECK(to_json(with_parameter_values(network, parameter_values(lower(network, kShape)))) !=
        to_json(network));  // turns with numbers of their own are written out
}

TEST_CASE("docs/library.md quotes the training example, and it descends") {
  const std::string code = contents("docs/examples/train.cpp");
  REQUIRE(!code.empty());
  CHECK(contents("docs/library.md").find("```cpp\n" + code + "```\n") != std::string::npos);
  Problem problem;
  const Trained trained = train(problem.program, problem.source, problem.labels, 5, {});
  CHECK(trained.last < trained.first);
  CHECK(trained.values != parameter_values(problem.program));
}

}  // namespace gramtile::test::trainer_test
