// The presets lower to the programs of the golden files, which hold the networks of the paper's
// code.
#include "engine/network/presets.hpp"

#include <doctest/doctest.h>

#include <algorithm>

#include "engine/network/program.hpp"

namespace gramtile::presets_test {
namespace {

template <class AnyOp>
std::vector<AnyOp> ops_of(const Program& program) {
  std::vector<AnyOp> result;
  for (const Op& op : program.ops) {
    if (const auto* found = std::get_if<AnyOp>(&op)) {
      result.push_back(*found);
    }
  }
  return result;
}

Program preset_program(std::string_view name, Index size) {
  return lower(*preset_network(name), {.channels = 1, .height = size, .width = size});
}

}  // namespace

TEST_CASE("every preset carries its own name and ends 1×1 on its images") {
  CHECK(preset_names() == std::vector<std::string_view>{"convnet-gp", "residual-cnn-gp",
                                                        "resnet32-gp", "resnet32-gp-cifar10"});
  for (const std::string_view name : preset_names()) {
    CHECK(preset_network(name)->name == name);
    CHECK_NOTHROW(preset_program(name, name == "resnet32-gp-cifar10" ? 32 : 28));
  }
}

TEST_CASE("a name that is no preset's gives nothing") {
  CHECK_FALSE(preset_network("resnet").has_value());
  CHECK_FALSE(preset_network("").has_value());
}

TEST_CASE("convnet-gp is seven 7×7 layers and one of 28×28") {
  const auto convs = ops_of<Conv2dOp>(preset_program("convnet-gp", 28));
  REQUIRE(convs.size() == 8);
  CHECK(convs[6].geometry == WindowGeometry::square({7, 1, 1, 3, 3}));
  CHECK(convs[6].weight.value == 136.71);
  CHECK(convs[7].geometry == WindowGeometry::square({28, 1, 1, 0, 0}));
  CHECK(convs[7].weight.value == 2.79);
  CHECK(std::all_of(convs.begin(), convs.end(),
                    [](const Conv2dOp& conv) { return conv.bias.value == 7.86; }));
}

TEST_CASE("residual-cnn-gp adds eight times a 4×4 layer to its own input") {
  const Program program = preset_program("residual-cnn-gp", 28);
  CHECK(ops_of<SumOp>(program).size() == 8);
  CHECK(program.num_activations == 9);
  const auto convs = ops_of<Conv2dOp>(program);
  REQUIRE(convs.size() == 10);
  CHECK(convs[0].geometry == WindowGeometry::square({4, 1, 1, 1, 2}));
  CHECK(convs[8].weight.value == 116.32);
  CHECK(convs[9].weight.value == 7.27);
}

TEST_CASE("resnet32-gp has three stages of five blocks on maps of 28, 14 and 7 pixels") {
  const Program program = preset_program("resnet32-gp", 28);
  CHECK(ops_of<SumOp>(program).size() == 15);
  const auto convs = ops_of<Conv2dOp>(program);
  REQUIRE(convs.size() == 36);
  CHECK(convs[34].geometry == WindowGeometry::square({7, 1, 1, 0, 0}));
  const auto shape_of = [&](const SumOp& sum) {
    return program.values[static_cast<std::size_t>(sum.output)].shape;
  };
  const auto sums = ops_of<SumOp>(program);
  CHECK(shape_of(sums[4]) == MapShape{28, 28});
  CHECK(shape_of(sums[9]) == MapShape{14, 14});
  CHECK(shape_of(sums[14]) == MapShape{7, 7});
}

TEST_CASE("resnet32-gp-cifar10 ends in conv 8, conv 1, relu, conv 1") {
  const Program program = preset_program("resnet32-gp-cifar10", 32);
  const std::size_t num_ops = program.ops.size();
  const auto kernel_size = [&](std::size_t from_end) {
    return std::get<Conv2dOp>(program.ops[num_ops - from_end]).geometry.y.kernel_size;
  };
  CHECK(kernel_size(4) == 8);
  CHECK(kernel_size(3) == 1);
  CHECK(std::holds_alternative<ActivationOp>(program.ops[num_ops - 2]));
  CHECK(kernel_size(1) == 1);
}

}  // namespace gramtile::presets_test
