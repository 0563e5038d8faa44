// The networks of the paper's code as cnn-gp publishes them (its folder configs/). The paper states
// var_weight per tap; here it is per window.
#include "engine/network/presets.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace gramtile {
namespace {

constexpr Padding kSame;

// These are not inlined because GCC 12 warns of uninitialised members (wrongly) when it sees
// through the move of a std::variant whose alternative it knows.
[[gnu::noinline]] Layer conv(Index kernel_size, Padding padding, double var_weight = 1,
                             double var_bias = 0, Index stride = 1) {
  Conv2d conv{.kernel_size = kernel_size, .stride = stride, .padding = padding};
  conv.var_weight.value = var_weight;
  conv.var_bias.value = var_bias;
  return {conv};
}

[[gnu::noinline]] Layer relu() { return {Relu{}}; }

[[gnu::noinline]] Layer sum(Layers first, Layers second) {
  return {Sum{{std::move(first), std::move(second)}}};
}

[[gnu::noinline]] Layer repeat(Index times, Layers layers) {
  return {Repeat{times, std::move(layers)}};
}

// "ConvNet GP": 7 layers of 7×7, then one window over the whole 28×28 map.
Network convnet_gp() {
  constexpr double kPerTap = 2.79;
  constexpr double kBias = 7.86;
  const Layers block{conv(7, kSame, kPerTap * 49, kBias), relu()};
  return {.name = "convnet-gp",
          .parameters = {},
          .layers = {repeat(7, block), conv(28, 0, kPerTap, kBias)}};
}

// "Residual CNN GP": 8 blocks z + relu(conv(z)), one more conv and relu, the whole map.
Network residual_cnn_gp() {
  constexpr double kPerTap = 7.27;
  constexpr double kBias = 4.69;
  const Layers block{conv(4, kSame, kPerTap * 16, kBias), relu()};
  return {.name = "residual-cnn-gp",
          .parameters = {},
          .layers = {repeat(8, {sum({}, block)}), conv(4, kSame, kPerTap * 16, kBias), relu(),
                     conv(28, 0, kPerTap, kBias)}};
}

// One of the three stages: a block that may halve the map, then 4 blocks that keep it.
void append_stage(Layers& layers, Index stride) {
  layers.push_back(
      sum({conv(1, kSame, 1, 0, stride)}, {conv(3, kSame, 1, 0, stride), relu(), conv(3, kSame)}));
  const Layers block{relu(), conv(3, kSame), relu(), conv(3, kSame)};
  layers.push_back(repeat(4, {sum({}, block)}));
}

// "ResNet-32 GP" up to its end, which depends on the size of the images.
Layers resnet32_body() {
  Layers layers{conv(3, kSame), relu()};
  append_stage(layers, 1);
  layers.push_back(relu());
  append_stage(layers, 2);
  layers.push_back(relu());
  append_stage(layers, 2);
  return layers;
}

Network resnet32_gp() {
  Network network{.name = "resnet32-gp", .parameters = {}, .layers = resnet32_body()};
  network.layers.insert(network.layers.end(), {conv(7, 0), relu(), conv(1, 0)});
  return network;
}

Network resnet32_gp_cifar10() {
  Network network{.name = "resnet32-gp-cifar10", .parameters = {}, .layers = resnet32_body()};
  network.layers.insert(network.layers.end(), {conv(8, 0), conv(1, 0), relu(), conv(1, 0)});
  return network;
}

struct Preset {
  std::string_view name;
  Network (*make)();
};

constexpr std::array kPresets{
    Preset{"convnet-gp", convnet_gp}, Preset{"residual-cnn-gp", residual_cnn_gp},
    Preset{"resnet32-gp", resnet32_gp}, Preset{"resnet32-gp-cifar10", resnet32_gp_cifar10}};

}  // namespace

std::optional<Network> preset_network(std::string_view name) {
  const auto found = std::find_if(kPresets.begin(), kPresets.end(),
                                  [&](const Preset& preset) { return preset.name == name; });
  return found == kPresets.end() ? std::nullopt : std::optional(found->make());
}

std::vector<std::string_view> preset_names() {
  std::vector<std::string_view> names;
  for (const Preset& preset : kPresets) {
    names.push_back(preset.name);
  }
  return names;
}

}  // namespace gramtile
