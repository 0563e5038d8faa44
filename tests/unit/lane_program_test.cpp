// Lane programs: what every one of them keeps to, and how much the presets may cost at most. That
// no buffer gets in another's way is layout_test.cpp's, that K is right lanes_reference_test.cpp's.
#include "engine/lanes/lane_program.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "engine/lanes/value_scales.hpp"
#include "engine/network/presets.hpp"
#include "io/network/network_json.hpp"
#include "tests/support/lane_runs.hpp"
#include "tests/support/random_network.hpp"

namespace gramtile::lane_program_test {
namespace {

constexpr ImageShape kMnist{.channels = 1, .height = 28, .width = 28};
constexpr ImageShape kSmall{.channels = 1, .height = 4, .width = 4};

LaneProgram preset(const std::string& name, bool keep_values = false) {
  return compile_lanes(lower(*preset_network(name), kMnist), keep_values);
}

std::vector<RowSource> sources(const LaneProgram& program) {
  std::vector<RowSource> result;
  for (const LaneStep& step : program.steps) result.push_back(step.source);
  return result;
}

Index num_stored(const LaneProgram& program) {
  return std::count_if(program.steps.begin(), program.steps.end(),
                       [](const LaneStep& step) { return step.stores_output; });
}

/// The most that a forward pass of a preset may need. Steps are loops over maps, stored outputs the
/// maps that go to memory.
struct MostOfPreset {
  const char* name;
  Index num_steps, num_slots, num_stored;
};
constexpr MostOfPreset kMost[] = {
    {"convnet-gp", 8, 1, 1}, {"residual-cnn-gp", 19, 2, 11}, {"resnet32-gp", 38, 3, 38}};

TEST_CASE("presets take no more steps, slots and stored maps than they did") {
  for (const MostOfPreset& most : kMost) {
    CAPTURE(most.name);
    const LaneProgram program = preset(most.name);
    CHECK(static_cast<Index>(program.steps.size()) <= most.num_steps);
    CHECK(program.num_slots <= most.num_slots);
    CHECK(num_stored(program) <= most.num_stored);
  }
}

TEST_CASE("every window of a preset has the weight of its layer, a relu's half included") {
  const LaneProgram program = preset("convnet-gp");
  double product = 1;
  for (const LaneStep& step : program.steps) product *= step.weight;
  // 2.79·49 over 49 pixels, seven times; 2.79 over 784; and seven halves.
  const double powers = std::ldexp(1.0, program.output_exponent);
  CHECK(product == doctest::Approx(std::pow(2.79, 8) / 784 * std::pow(0.5, 7) * powers));
}

TEST_CASE("only maps that cannot be negative are taken for such") {
  // A map is non-negative behind a relu, and sums of such are; an image's product is not.
  const auto check = [](const LaneProgram& program) {
    std::set<ValueId> nonnegative;
    for (std::size_t i = 0; i < program.steps.size(); ++i) {
      const LaneStep& step = program.steps[i];
      const StepValues& values = program.step_values[i];
      const bool plain = step.source == RowSource::kImages || step.source == RowSource::kMap;
      if (step.source == RowSource::kReluNonneg) CHECK(nonnegative.count(values.source) == 1);
      const bool source = !plain || nonnegative.count(values.source) == 1;
      const bool addend = step.addend_slot == kNoSlot || nonnegative.count(values.addend) == 1;
      if (source && addend) nonnegative.insert(values.output);
    }
  };
  for (const bool tape : {false, true}) {
    for (const MostOfPreset& most : kMost) check(preset(most.name, tape));
    for (std::uint64_t seed = 0; seed < 200; ++seed) {
      check(compile_lanes(test::random_case(seed).program(), tape));
    }
  }
}

TEST_CASE("a network too long for roundings to stay inside the relu's table does without") {
  // 2 · 3 + 16 roundings a convolution, 16 a relu: 8192 are too many.
  const auto layers = [](Index times) {
    const std::string json =
        R"({"layers": [{"type": "repeat", "times": )" + std::to_string(times) +
        R"(, "layers": [{"type": "conv2d", "kernel_size": 3}, {"type": "relu"}]},
                       {"type": "conv2d", "kernel_size": 4, "padding": 0}]})";
    return sources(compile_lanes(test::program_of(json, kSmall), false));
  };
  const auto nonnegative = [](const std::vector<RowSource>& all) {
    return std::count(all.begin(), all.end(), RowSource::kReluNonneg);
  };
  CHECK(nonnegative(layers(200)) == 199);
  CHECK(nonnegative(layers(220)) == 0);
}

TEST_CASE("an activation that loops do not apply makes a map of a map in a step of its own") {
  const Program program =
      lower(read_network(R"({"layers": [{"type": "conv2d", "kernel_size": 3, "var_weight": 1e-50},
        {"type": "erf"}, {"type": "relu"}, {"type": "leaky_relu", "negative_slope": 0.5},
        {"type": "conv2d", "kernel_size": 8, "padding": 0}]})",
                         ""),
            {.channels = 1, .height = 8, .width = 8});
  for (const bool tape : {false, true}) {
    const LaneProgram lanes = compile_lanes(program, tape);
    REQUIRE(lanes.steps.size() == 5);
    const LaneStep &erf = lanes.steps[1], &relu = lanes.steps[2], &leaky = lanes.steps[3];
    CHECK(erf.source == RowSource::kPoint);
    CHECK(erf.activation.kind == ActivationKind::kErf);
    CHECK(relu.source == RowSource::kRelu);  // a map: what reads it is a point step
    CHECK(leaky.source == RowSource::kPoint);
    CHECK(leaky.activation.negative_slope == 0.5);
    CHECK(lanes.steps[4].source == RowSource::kMap);
    for (const LaneStep* step : {&erf, &relu, &leaky}) {
      CHECK(step->pointwise());
      CHECK(!step->sums_ready);
      CHECK(!step->applied_before);
      CHECK(step->stores_output);
    }
    REQUIRE(lanes.activation_maps.size() == 3);
    CHECK(leaky.map_offset == 2 * 64);
  }
  // The erf is given 1e-50 as it is, and what it makes of that comes back to about 1.
  const auto exponents = value_exponents(program);
  CHECK(exponents[1] == 0);
  CHECK(exponents[2] > 100);
}

TEST_CASE("a tape keeps every stored value in a slot of its own") {
  for (const char* name : {"convnet-gp", "residual-cnn-gp", "resnet32-gp"}) {
    const LaneProgram program = preset(name, true);
    std::set<Index> slots;
    Index num_stored = 0;
    for (const Index slot : program.value_slots) {
      if (slot == kNoSlot) continue;
      ++num_stored;
      slots.insert(slot);
    }
    CHECK(static_cast<Index>(slots.size()) == num_stored);
    CHECK(num_stored == program.num_slots);
    // Nothing is overwritten by a later step.
    std::set<Index> written;
    for (const LaneStep& step : program.steps) {
      CHECK(written.insert(step.output_slot).second);
    }
  }
}

TEST_CASE("a sum of two relus takes two steps on one slot of its own") {
  const LaneProgram program =
      compile_lanes(test::program_of(R"({"layers": [{"type": "conv2d", "kernel_size": 3},
        {"type": "sum", "branches": [[{"type": "relu"}],
                                     [{"type": "conv2d", "kernel_size": 3}, {"type": "relu"}]]},
        {"type": "conv2d", "kernel_size": 4, "padding": 0}]})",
                                     kSmall),
                    false);
  REQUIRE(program.steps.size() == 5);
  const LaneStep &first = program.steps[2], &second = program.steps[3];
  CHECK(first.addend_slot == kNoSlot);
  CHECK(second.addend_slot == first.output_slot);
  CHECK(second.output_slot == first.output_slot);
}

TEST_CASE("a tape of a mixture keeps its branches apart, a forward pass fuses the last") {
  const Program program = test::program_of(R"({"layers": [
    {"type": "conv2d", "kernel_size": 3},
    {"type": "mixture", "logits": [0, 0], "branches": [
      [{"type": "conv2d", "kernel_size": 1}], [{"type": "conv2d", "kernel_size": 3}]]},
    {"type": "conv2d", "kernel_size": 4, "padding": 0}]})",
                                           kSmall);
  const LaneProgram forward = compile_lanes(program, false), tape = compile_lanes(program, true);
  CHECK(forward.steps.size() == 3);  // the other branch is an addend
  CHECK(forward.steps[1].addend_weight == 0.5);
  CHECK(forward.steps[1].weight == doctest::Approx(0.5 / 9));
  CHECK(tape.value_slots[2] != kNoSlot);
  CHECK(tape.value_slots[3] != kNoSlot);
  CHECK(tape.num_slots == 5);
}

TEST_CASE(
    "a window that shrinks from beyond its image does not overwrite what it has yet to read") {
  // Padding 2 with a window of 2: output row y needs input rows y − 2, y − 1, so writing in place
  // is safe only where the window reaches at least as far as the padding.
  const LaneProgram program = compile_lanes(
      test::program_of(R"({"layers": [{"type": "conv2d", "kernel_size": 1, "var_weight": 2},
        {"type": "relu"}, {"type": "conv2d", "kernel_size": 2, "padding": 2, "stride": 2},
        {"type": "conv2d", "kernel_size": 4, "padding": 0}]})",
                       kSmall),
      false);
  REQUIRE(program.steps.size() == 3);
  CHECK(program.steps[1].input_slot != program.steps[1].output_slot);
}

TEST_CASE("a relu that is a map of its own is applied where its input is made") {
  // Behind every block; and in front of the first stage and where a stage ends.
  for (const auto& [name, least] : {std::pair{"residual-cnn-gp", 8}, {"resnet32-gp", 3}}) {
    CAPTURE(name);
    for (const bool tape : {false, true}) {
      const LaneProgram program = preset(name, tape);
      int num_applied = 0;
      for (std::size_t i = 0; i < program.steps.size(); ++i) {
        if (!program.steps[i].applied_before) continue;
        CHECK(program.step_values[i - 1].output == program.step_values[i].source);
        CHECK(program.steps[i - 1].stores_output == tape);
        ++num_applied;
      }
      CHECK(num_applied >= least);
    }
  }
}

TEST_CASE("a 1×1 shortcut is an addend with a weight and a bias, but not on a tape") {
  const Program program = test::program_of(R"({"layers": [
    {"type": "conv2d", "kernel_size": 3}, {"type": "relu"},
    {"type": "sum", "branches": [
      [{"type": "conv2d", "kernel_size": 1, "var_weight": 3, "var_bias": 0.25}],
      [{"type": "conv2d", "kernel_size": 3, "var_bias": 0.5}]]},
    {"type": "conv2d", "kernel_size": 4, "padding": 0}]})",
                                           kSmall);
  const LaneProgram forward = compile_lanes(program, false), tape = compile_lanes(program, true);
  REQUIRE(forward.steps.size() == 4);
  CHECK(tape.steps.size() == 5);
  const LaneStep& sum = forward.steps[2];
  CHECK(sum.addend_slot == forward.steps[1].output_slot);
  CHECK(sum.addend_weight == 3);
  CHECK(sum.bias == 0.75);
}

TEST_CASE("layers of convolution and relu feed each other, and store no map between them") {
  const LaneProgram program = preset("convnet-gp");
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    CHECK(program.steps[i].sums_ready == (i > 0));
    CHECK(program.steps[i].stores_output == (i + 1 == program.steps.size()));
  }
  const LaneProgram tape = preset("convnet-gp", true);
  for (const LaneStep& step : tape.steps) CHECK(step.stores_output);
}

}  // namespace
}  // namespace gramtile::lane_program_test
