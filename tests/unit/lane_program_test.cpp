// The presets as lane programs, counted by hand: what is fused, which slots are shared.
#include "engine/lanes/lane_program.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>

#include "engine/network/presets.hpp"
#include "tests/support/lane_runs.hpp"
#include "tests/support/random_network.hpp"

namespace gramtile {
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

Index num_addends(const LaneProgram& program) {
  return std::count_if(program.steps.begin(), program.steps.end(),
                       [](const LaneStep& step) { return step.addend_slot != kNoSlot; });
}

TEST_CASE("convnet-gp: 8 window sums in one slot, every relu folded into the next") {
  const LaneProgram program = preset("convnet-gp");
  REQUIRE(program.steps.size() == 8);
  CHECK(program.num_slots == 1);
  CHECK(program.num_map_pixels == 7 * 784);
  using enum RowSource;
  // The first relu's input is a window sum of signed products; later ones cannot be negative.
  CHECK(sources(program) == std::vector{kImages, kRelu, kReluNonneg, kReluNonneg, kReluNonneg,
                                        kReluNonneg, kReluNonneg, kReluNonneg});
  const LaneStep& first = program.steps[0];
  CHECK(first.geometry == WindowGeometry{7, 1, 1, 3, 3});
  CHECK(first.weight == doctest::Approx(2.79));  // 2.79·49 over 49 pixels
  CHECK(first.bias == 7.86);
  CHECK(program.steps[2].weight == doctest::Approx(2.79 / 2));  // the relu's ½
  CHECK(program.steps[2].map_offset == 784);
  CHECK(program.steps[7].output == MapShape{1, 1});
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

TEST_CASE("residual-cnn-gp: the product, 8 blocks of two steps, two more, in two slots") {
  const LaneProgram program = preset("residual-cnn-gp");
  REQUIRE(program.steps.size() == 19);
  CHECK(program.num_slots == 2);
  CHECK(num_addends(program) == 8);
  // A block: the window sum of a map, then relu of that plus the map, pixel by pixel.
  CHECK(program.steps[1].source == RowSource::kMap);
  CHECK(program.steps[1].geometry == WindowGeometry{4, 1, 1, 1, 2});
  CHECK(program.steps[2].pointwise());
  CHECK(program.steps[2].addend_slot == program.steps[0].output_slot);
  CHECK(program.steps[2].weight == 0.5);
}

TEST_CASE(
    "resnet32-gp: 38 steps in three slots, every sum and a shortcut folded into window sums") {
  // conv, relu (read twice); a stage: shortcut, conv, conv + shortcut, 4 × (conv, conv + identity);
  // a relu (read twice) between stages; conv, conv. The shortcut of the first stage has no stride,
  // so it is an addend: 2 + 10 + 1 + 11 + 1 + 11 + 2.
  const LaneProgram program = preset("resnet32-gp");
  CHECK(program.steps.size() == 38);
  CHECK(program.num_slots == 3);  // where a stage shrinks the map, nothing is overwritten
  CHECK(num_addends(program) == 15);
  for (const LaneStep& step : program.steps) {
    if (step.addend_slot != kNoSlot) CHECK(step.geometry.kernel_size == 3);
  }
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

std::vector<std::size_t> applied_before(const LaneProgram& program) {
  std::vector<std::size_t> steps;
  for (std::size_t i = 0; i < program.steps.size(); ++i) {
    if (program.steps[i].applied_before) steps.push_back(i);
  }
  return steps;
}

TEST_CASE("a relu that is a map of its own is applied where its input is made") {
  // Behind every convolution; and the next convolution's sums are made there, too.
  const LaneProgram residual = preset("residual-cnn-gp");
  REQUIRE(residual.steps.size() == 19);
  CHECK(applied_before(residual) == std::vector<std::size_t>{2, 4, 6, 8, 10, 12, 14, 16});
  for (std::size_t i = 1; i + 1 < residual.steps.size(); i += 2) {
    CHECK(residual.steps[i].sums_ready == (i > 1));
    CHECK_FALSE(residual.steps[i].stores_output);
  }
  // In front of the first stage, and where a stage ends: their convolutions take strides.
  const LaneProgram resnet = preset("resnet32-gp");
  const auto applied = applied_before(resnet);
  REQUIRE(applied.size() == 3);
  CHECK(resnet.steps[applied[0] + 1].sums_ready);
  CHECK_FALSE(resnet.steps[applied[1] + 1].sums_ready);
  CHECK_FALSE(resnet.steps[applied[2] + 1].sums_ready);
  // A tape keeps the relu's input and its output.
  const LaneProgram tape = preset("residual-cnn-gp", true);
  CHECK(applied_before(tape) == applied_before(residual));
  for (const LaneStep& step : tape.steps) CHECK(step.stores_output);
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
}  // namespace gramtile
