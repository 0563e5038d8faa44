// Backward passes of lane programs: slots of adjoints, what is stored and what is added, which raw
// derivative belongs to which parameter, and how much the presets may cost at most.
#include "engine/lanes/reverse_program.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>

#include "engine/backend/lanes/tile_derivative.hpp"
#include "engine/network/presets.hpp"
#include "tests/support/gradient_runs.hpp"

namespace gramtile::reverse_program_test {
namespace {

constexpr ImageShape kMnist{.channels = 1, .height = 28, .width = 28};
constexpr ImageShape kSmall{.channels = 1, .height = 4, .width = 4};

/// A program with its tape and its reverse, in a place of their own: each refers to the one before.
struct Reversed {
  explicit Reversed(Program lowered) : Reversed(std::move(lowered), {}) {}
  /// With given powers of two instead of the program's own.
  Reversed(Program lowered, const std::vector<int>& exponents)
      : program(std::move(lowered)),
        tape(exponents.empty() ? compile_lanes(program, true)
                               : compile_lanes(program, true, exponents)) {}
  Reversed(const Reversed&) = delete;
  Reversed& operator=(const Reversed&) = delete;

  /// Σ of coefficients by raw derivative for a parameter and a step counted forwards.
  double coefficient(const std::string& name, Index forward_step, RawDerivative raw) const {
    const auto parameter = static_cast<Index>(test::parameter_index(program, name));
    const Index step = static_cast<Index>(reverse.steps.size()) - 1 - forward_step;
    double sum = 0;
    for (const DerivativeTerm& term : reverse.terms) {
      if (term.parameter == parameter && term.step == step && term.raw == raw) {
        sum += term.coefficient;
      }
    }
    return sum;
  }

  Program program;
  LaneProgram tape;
  ReverseProgram reverse = reverse_lanes(tape, program);
};

Program preset(const std::string& name) { return lower(*preset_network(name), kMnist); }

Program small(const std::string& json) { return test::program_of(json, kSmall); }

/// Replays who owns which adjoint slot: nothing is read that was not written, nothing written over
/// that is still to be read, and the first write stores while later ones add.
void check_slots(const ReverseProgram& reverse) {
  std::map<Index, Index> owner;  // adjoint slot → forward slot whose adjoint it holds
  owner[reverse.seed_adjoint] = reverse.forward->output_slot;
  const auto claim = [&](Index adjoint, Index slot, bool first) {
    REQUIRE(adjoint >= 0);
    REQUIRE(adjoint < reverse.num_adjoints);
    if (first) {
      REQUIRE(owner.count(adjoint) == 0);
      for (const auto& [other, held] : owner) REQUIRE(held != slot);
      owner[adjoint] = slot;
    } else {
      REQUIRE(owner.count(adjoint) == 1);
      REQUIRE(owner[adjoint] == slot);
    }
  };
  for (const ReverseStep& step : reverse.steps) {
    const LaneStep& f = step.forward;
    REQUIRE(owner.count(step.output_adjoint) == 1);
    REQUIRE(owner[step.output_adjoint] == f.output_slot);
    const bool has_addend = f.addend_slot != kNoSlot;
    CHECK((step.addend_adjoint != kNoSlot) == (has_addend && !step.adjoint_stays));
    if (step.adjoint_stays) CHECK((has_addend && f.addend_weight == 1 && !f.addend_derivative));
    CHECK((step.source_adjoint != kNoSlot) == (f.source != RowSource::kImages));
    if (step.addend_adjoint != kNoSlot) {
      claim(step.addend_adjoint, f.addend_slot, step.addend_first);
    }
    const bool in_place = step.source_adjoint == step.output_adjoint;
    if (in_place) CHECK(f.input.width <= f.output.width);
    if (step.adjoint_stays) {
      owner[step.output_adjoint] = f.addend_slot;
    } else {
      owner.erase(step.output_adjoint);
    }
    if (step.source_adjoint != kNoSlot) claim(step.source_adjoint, f.input_slot, step.source_first);
  }
  CHECK(owner.empty());
}

/// The most that a preset's way back may need.
struct MostOfPreset {
  const char* name;
  std::size_t num_steps;
  Index num_adjoints;
};

TEST_CASE("presets take no more steps and adjoint maps back than they did") {
  for (const MostOfPreset& most :
       {MostOfPreset{"convnet-gp", 8, 2}, {"residual-cnn-gp", 19, 2}, {"resnet32-gp", 39, 3}}) {
    CAPTURE(most.name);
    const Reversed r(preset(most.name));
    check_slots(r.reverse);
    CHECK(r.reverse.steps.size() <= most.num_steps);
    CHECK(r.reverse.num_adjoints <= most.num_adjoints);
  }
}

TEST_CASE(
    "convnet-gp: every parameter has one raw derivative, with the window's and the relu's factor") {
  const Program convnet = preset("convnet-gp");
  const Reversed r(convnet, std::vector<int>(convnet.values.size(), 0));
  CHECK(r.reverse.num_parameters == 16);
  CHECK(r.reverse.terms.size() == 16);
  CHECK(r.coefficient("conv0.var_weight", 0, kRawWeight) == 1.0 / 49);
  CHECK(r.coefficient("conv1.var_weight", 1, kRawWeight) == 0.5 / 49);
  CHECK(r.coefficient("conv7.var_weight", 7, kRawWeight) == 0.5 / 784);
  for (Index step = 0; step < 8; ++step) {
    CHECK(r.coefficient("conv" + std::to_string(step) + ".var_bias", step, kRawBias) == 1);
  }
}

TEST_CASE("a term has the power of two of its step's output, source and addend over that of K") {
  const Program convnet = preset("convnet-gp");
  std::vector<int> exponents;
  for (std::size_t v = 0; v < convnet.values.size(); ++v)
    exponents.push_back(-2 * static_cast<int>(v));
  const Reversed r(convnet, exponents);
  // Values: 0 the images, 1, 3, … 13 behind convolutions, 2, 4, … 14 behind relus, 15 K.
  CHECK(r.coefficient("conv0.var_bias", 0, kRawBias) == 0x1p28);
  CHECK(r.coefficient("conv0.var_weight", 0, kRawWeight) == 0x1p28 / 49);
  CHECK(r.coefficient("conv1.var_bias", 1, kRawBias) == 0x1p24);
  // Its source is the map in front of the relu that it applies.
  CHECK(r.coefficient("conv1.var_weight", 1, kRawWeight) == 0x1p26 * 0.5 / 49);
  CHECK(r.tape.steps[1].weight == doctest::Approx(0x1p-4 * 2.79 / 2));
  CHECK(r.tape.steps[1].bias == doctest::Approx(0x1p-6 * 7.86));
  CHECK(r.tape.output_exponent == -30);
}

/// Steps whose tape holds haversines.
Index num_from_haversines(const ReverseProgram& reverse) {
  return std::count_if(reverse.steps.begin(), reverse.steps.end(),
                       [](const ReverseStep& step) { return step.from_haversines; });
}

TEST_CASE("a tape holds haversines of maps that one relu alone reads and that are no sums") {
  CHECK(num_from_haversines(Reversed(preset("convnet-gp")).reverse) == 7);
  // Maps between blocks are sums, and read by the next identity; the last window's is neither.
  const Reversed residual(preset("residual-cnn-gp"));
  CHECK(num_from_haversines(residual.reverse) == 1);
  CHECK(residual.reverse.steps[0].from_haversines);
  const Reversed resnet(preset("resnet32-gp"));
  CHECK(num_from_haversines(resnet.reverse) > 0);
  for (std::size_t i = 0; i < resnet.reverse.steps.size(); ++i) {
    if (!resnet.reverse.steps[i].from_haversines) continue;
    const LaneStep &step = resnet.reverse.steps[i].forward,
                   &writer = resnet.reverse.steps[i + 1].forward;
    CHECK(step.input_slot == writer.output_slot);
    CHECK(writer.addend_slot == kNoSlot);
  }
  // A weight of 0 leaves nothing to conclude from.
  const auto with_weight = [](const std::string& weight) {
    return small(R"({"layers": [{"type": "conv2d", "kernel_size": 3}, {"type": "relu"},
      {"type": "conv2d", "kernel_size": 3, "var_weight": )" +
                 weight + R"(}, {"type": "relu"},
      {"type": "conv2d", "kernel_size": 4, "padding": 0}]})");
  };
  CHECK(num_from_haversines(Reversed(with_weight("1")).reverse) == 2);
  CHECK(num_from_haversines(Reversed(with_weight("0")).reverse) == 1);
}

TEST_CASE("a gradient turns at a last relu whose window is the whole map, and ends at the first") {
  const Reversed convnet(preset("convnet-gp"));
  CHECK(convnet.reverse.can_turn);
  for (std::size_t i = 0; i < convnet.reverse.steps.size(); ++i) {
    CHECK(convnet.reverse.steps[i].ends == (i == 6));  // the one in front of the images' step
  }
  // The last relu is that of a sum; a first layer without a relu has none to end at.
  CHECK_FALSE(Reversed(preset("resnet32-gp")).reverse.can_turn);
  const Reversed plain(small(R"({"layers": [{"type": "conv2d", "kernel_size": 3},
    {"type": "conv2d", "kernel_size": 4, "padding": 0}]})"));
  CHECK_FALSE(plain.reverse.can_turn);
  for (const ReverseStep& step : plain.reverse.steps) CHECK_FALSE(step.ends);
}

TEST_CASE("residual-cnn-gp: the sum's adjoint is the identity's, and the branch's is added to it") {
  const Reversed r(preset("residual-cnn-gp"));
  check_slots(r.reverse);
  // The last block: relu of a window sum plus the map, then that window sum of the map.
  const ReverseStep &sum = r.reverse.steps[2], &window = r.reverse.steps[3];
  CHECK(sum.adjoint_stays);
  CHECK(sum.source_adjoint != sum.output_adjoint);
  CHECK(window.sums_ready);  // of the relu's adjoint
  CHECK(window.source_adjoint == sum.output_adjoint);
  CHECK_FALSE(window.source_first);
}

TEST_CASE(
    "an identity beside a branch that ends in a relu: all adjoints are summed as they are made") {
  const Reversed r(small(R"({"layers": [{"type": "conv2d", "kernel_size": 3},
    {"type": "sum", "branches": [[], [{"type": "relu"}, {"type": "conv2d", "kernel_size": 3},
      {"type": "relu"}, {"type": "conv2d", "kernel_size": 3}]]},
    {"type": "relu"}, {"type": "conv2d", "kernel_size": 4, "padding": 0}]})"));
  check_slots(r.reverse);
  // Backwards: the last window, the sum's convolution, the branch's first, and the first one.
  REQUIRE(r.reverse.steps.size() == 4);
  const ReverseStep &sum = r.reverse.steps[1], &branch = r.reverse.steps[2],
                    &first = r.reverse.steps[3];
  for (const ReverseStep* step : {&sum, &branch, &first}) CHECK(step->sums_ready);
  CHECK(sum.adjoint_stays);
  CHECK_FALSE(branch.adjoint_stays);
  CHECK(branch.source_adjoint == sum.output_adjoint);
  CHECK_FALSE(branch.source_first);
}

TEST_CASE("a sum of three relus passes its adjoint on as it is until the last is done") {
  const Reversed r(small(R"({"layers": [{"type": "conv2d", "kernel_size": 3},
    {"type": "sum", "branches": [[{"type": "relu"}],
       [{"type": "conv2d", "kernel_size": 3}, {"type": "relu"}],
       [{"type": "conv2d", "kernel_size": 1}, {"type": "relu"}]]},
    {"type": "conv2d", "kernel_size": 4, "padding": 0}]})"));
  check_slots(r.reverse);
  // conv; conv, conv of the branches; three relus into one slot; the last window. Backwards the
  // three relus read the same adjoint, and only the first forward one may overwrite it.
  REQUIRE(r.reverse.steps.size() == 7);
  const ReverseStep &third = r.reverse.steps[1], &second = r.reverse.steps[2],
                    &first = r.reverse.steps[3];
  CHECK(third.output_adjoint == second.output_adjoint);
  CHECK(second.output_adjoint == first.output_adjoint);
  CHECK(third.source_adjoint != third.output_adjoint);
  CHECK(second.source_adjoint != second.output_adjoint);
  CHECK(first.source_adjoint == first.output_adjoint);
  CHECK(third.addend_adjoint == kNoSlot);
  CHECK(r.reverse.num_adjoints == 3);
}

TEST_CASE("a map that is summed with itself gets both adjoints") {
  const Reversed r(small(R"({"layers": [{"type": "conv2d", "kernel_size": 3},
    {"type": "sum", "branches": [[], []]}, {"type": "conv2d", "kernel_size": 4, "padding": 0}]})"));
  check_slots(r.reverse);
  REQUIRE(r.reverse.steps.size() == 3);
  const ReverseStep& sum = r.reverse.steps[1];
  CHECK(sum.adjoint_stays);
  CHECK_FALSE(sum.source_first);
  CHECK(sum.output_adjoint == sum.source_adjoint);
}

TEST_CASE("logits: each branch of a mixture through the softmax") {
  // Weights ½ and ½; the identity is the addend, the relu the step's source, with its ½.
  const Reversed r(small(R"({"layers": [{"type": "conv2d", "kernel_size": 3},
    {"type": "mixture", "logits": [0, 0], "branches": [[], [{"type": "relu"}]]},
    {"type": "conv2d", "kernel_size": 4, "padding": 0}]})"));
  check_slots(r.reverse);
  REQUIRE(r.reverse.steps.size() == 3);
  CHECK(r.reverse.steps[1].forward.addend_derivative);
  REQUIRE(r.reverse.mixtures.size() == 1);
  const MixtureTerms& mixture = r.reverse.mixtures[0];
  CHECK(mixture.first_logit ==
        static_cast<Index>(test::parameter_index(r.program, "mixture0.logit0")));
  REQUIRE(mixture.branches.size() == 2);
  for (const auto& branch : mixture.branches) {
    CHECK(branch.step == 1);
    CHECK(branch.weight == 0.5);
  }
  CHECK(mixture.branches[0].raw == kRawAddend);
  CHECK(mixture.branches[0].factor == 1);
  CHECK(mixture.branches[1].raw == kRawWeight);
  CHECK(mixture.branches[1].factor == 0.5);
}

TEST_CASE("adjoint slots are sound on random nested networks") {
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    CAPTURE(seed);
    check_slots(Reversed(test::random_case(seed).program()).reverse);
  }
}

template <class T>
std::size_t allocated(const DerivativeWorkspace<T>& w) {
  const std::size_t pair = w.pair.slots.size() + w.pair.scratch.size() + w.adjoints.size() +
                           w.side_scratch.size() + w.group.size() + w.bend.size() + w.raw.size() +
                           w.seeds.size();
  return pair * sizeof(T);
}

TEST_CASE("a derivative workspace takes the bytes that the memory plan counts") {
  for (const char* name : {"convnet-gp", "residual-cnn-gp", "resnet32-gp"}) {
    const Reversed r(preset(name));
    for (const bool jacobian : {false, true}) {
      CHECK(allocated(DerivativeWorkspace<float>(r.reverse, jacobian)) ==
            DerivativeWorkspace<float>::bytes(r.reverse, jacobian));
      CHECK(allocated(DerivativeWorkspace<double>(r.reverse, jacobian)) ==
            DerivativeWorkspace<double>::bytes(r.reverse, jacobian));
    }
  }
}

}  // namespace
}  // namespace gramtile::reverse_program_test
