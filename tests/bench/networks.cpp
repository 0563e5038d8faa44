#include "tests/bench/networks.hpp"

#include "engine/network/presets.hpp"

namespace gramtile::bench {
namespace {

constexpr int kOperations = 16;

// Not inlined for the reason given in engine/network/presets.cpp. The bias keeps every variance
// away from 0, the weight keeps 16 sums in a row from growing.
[[gnu::noinline]] Layer conv(Index kernel_size, double var_weight, double var_bias) {
  Conv2d conv{.kernel_size = kernel_size};
  conv.var_weight.value = var_weight;
  conv.var_bias.value = var_bias;
  return {conv};
}

[[gnu::noinline]] Layer whole_window(Index size) {
  Conv2d conv{.kernel_size = size, .padding = 0};
  conv.var_weight.value = 1;
  conv.var_bias.value = 0.1;
  return {conv};
}

// The images of the benchmarks are MNIST's, or drawn: as kernel-build, which looks at every pixel,
// would run them.
Program lowered(const Network& network, ImageShape shape) {
  Program program = lower(network, shape);
  assume_nonnegative_images(program);
  return program;
}

Program repeated(Layers block, Index times, Index size) {
  Network network;
  network.layers = {{Repeat{times, std::move(block)}}, whole_window(size)};
  return lowered(network, {1, size, size});
}

}  // namespace

std::vector<NamedProgram> preset_programs() {
  std::vector<NamedProgram> programs;
  for (std::string_view name : preset_names()) {
    const ImageShape shape =
        name == "resnet32-gp-cifar10" ? ImageShape{3, 32, 32} : ImageShape{1, 28, 28};
    programs.push_back({std::string(name), lowered(*preset_network(name), shape)});
  }
  return programs;
}

std::vector<NamedProgram> operation_programs() {
  const Layer relu{Relu{}};
  const auto program = [](Layers block) { return repeated(std::move(block), kOperations, 28); };
  return {{"window3", program({conv(3, 0.9, 0.1)})},
          {"window7", program({conv(7, 0.9, 0.1)})},
          {"relu", program({conv(1, 1.8, 0.1), relu})},
          {"window3_relu", program({conv(3, 1.8, 0.1), relu})},
          {"window7_relu", program({conv(7, 1.8, 0.1), relu})}};
}

Program layers(Index depth, Index size) {
  return repeated({conv(7, 1.8, 0.1), {Relu{}}}, depth, size);
}

}  // namespace gramtile::bench
