#include "tests/support/any_network.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "engine/network/geometry.hpp"

namespace gramtile::test {
namespace {

constexpr Index kMaxDepth = 3;     // of nested layers
constexpr Index kLargestMap = 38;  // per axis
constexpr Index kLongestChain = 40;
constexpr std::size_t kMostOps = 90, kMostParameters = 90;
constexpr Index kMostWork = 100'000;  // window taps of one pair's map

const std::string kWeightName = "w";
const std::string kBiasName = "b";
const std::string kFixedName = "fixed";

bool fits(const WindowGeometry& g, MapShape shape) {
  const Index reach = g.dilation * (g.kernel_size - 1) + 1, pads = g.pad_low + g.pad_high;
  return shape.height + pads >= reach && shape.width + pads >= reach;
}

/// Draws layers one after another and keeps track of the shape reached.
class AnyBuilder {
 public:
  AnyBuilder(Random& random, MapShape shape) : random_(random), shape_(shape) {}

  Network build() {
    Network network;
    network.parameters = {{kBiasName, {.value = random_.uniform(0.05, 0.5)}},
                          {kFixedName, {.value = 1.1, .trainable = false}},
                          {kWeightName, {.value = random_.uniform(0.5, 1.5)}}};
    const Index kind = random_.integer(0, 8);
    network.layers = kind < 3 ? chain() : kind < 5 ? padded_chain() : nested();
    for (Layer& layer : ending()) network.layers.push_back(std::move(layer));
    return network;
  }

 private:
  // --- whole networks, but for their ends

  /// n times the same convolution, with a relu between them or without.
  Layers chain() {
    const Index k = random_.integer(2, 9), dilation = random_.chance(0.8) ? 1 : 2;
    const Conv2d conv = convolution(k, dilation);
    const Index padding = dilation * (k / 2);
    const Index period = 2 * shape_.height / std::gcd(2 * shape_.height, padding);
    Index times = random_.integer(1, 12);
    if (random_.chance(0.5) && period < kLongestChain) {
      times = 1 + period * random_.integer(1, (kLongestChain - 1) / period);
    }
    Layers turn{{conv}};
    if (random_.chance(0.85)) turn.push_back({random_activation(random_)});
    if (random_.chance(0.7)) return {{Repeat{times, turn}}};
    // Written out, perhaps with one that differs.
    Layers layers;
    const Index other = random_.chance(0.3) ? random_.integer(0, times - 1) : times;
    for (Index i = 0; i < times; ++i) {
      if (i == other) layers.push_back(keeping_layer(0));
      layers.insert(layers.end(), turn.begin(), turn.end());
    }
    return layers;
  }

  /// A few convolutions of any padding, so that maps grow and shrink.
  Layers padded_chain() {
    Layers layers;
    const Index count = random_.integer(1, 6);
    for (Index i = 0; i < count; ++i) {
      layers.push_back({changing_convolution(random_.chance(0.8) ? 1 : 3)});
      if (random_.chance(0.85)) layers.push_back({random_activation(random_)});
    }
    return layers;
  }

  Layers nested() {
    Layers layers;
    const Index count = random_.integer(1, 5);
    for (Index i = 0; i < count; ++i) {
      const Index kind = random_.integer(0, 6);
      if (kind == 0) {
        layers.push_back({changing_convolution(3)});
      } else if (kind == 1) {
        layers.push_back(changing_branches());
      } else {
        layers.push_back(keeping_layer(0));
      }
    }
    return layers;
  }

  // --- layers that change the shape

  /// A window that fits, on a map that stays small; "same" where none is found.
  Conv2d changing_convolution(Index largest_stride) {
    for (int attempt = 0; attempt < 10; ++attempt) {
      Conv2d conv = convolution(any_kernel_size(), random_.chance(0.2) ? random_.integer(2, 3) : 1);
      conv.padding = random_.integer(0, 4);
      conv.stride = random_.integer(1, largest_stride);
      if (apply(conv)) return conv;
    }
    return convolution(3);
  }

  /// As in a residual network: every branch begins with a convolution that reaches the same shape,
  /// by a larger window with more padding.
  Layer changing_branches() {
    const MapShape from = shape_;
    const Conv2d first = changing_convolution(3);
    std::vector<Layers> branches;
    const Index count = random_.integer(1, 3);
    for (Index b = 0; b < count; ++b) {
      Conv2d conv = first;
      const Index more = first.padding && first.dilation == 1 ? random_.integer(0, 2) : 0;
      if (more > 0) {
        shape_ = from;
        conv = convolution(first.kernel_size + 2 * more);
        conv.stride = first.stride;
        conv.padding = *first.padding + more;
        apply(conv);
      }
      Layers branch = random_.chance(0.5) ? keeping_layers(1) : Layers{};
      branch.insert(branch.begin(), Layer{conv});
      branches.push_back(std::move(branch));
    }
    return summed(std::move(branches));
  }

  // --- layers that leave the shape as it is

  Layer keeping_layer(Index depth) {
    const Index kind = depth < kMaxDepth ? random_.integer(0, 7) : random_.integer(0, 3);
    switch (kind) {
      case 0:
      case 1:
        return {keeping_convolution()};
      case 2:
      case 3:
        return {random_activation(random_)};
      case 4:
        return {Sequential{keeping_layers(depth + 1)}};
      case 5:
        return {Repeat{random_.integer(1, 4), keeping_layers(depth + 1)}};
      default:
        return summed(branches(depth));
    }
  }

  Conv2d keeping_convolution() {
    Conv2d conv = convolution(any_kernel_size(), random_.chance(0.25) ? random_.integer(2, 3) : 1);
    if (conv.kernel_size % 2 == 1 && random_.chance(0.3)) {
      conv.padding = conv.dilation * (conv.kernel_size / 2);
    }
    return conv;
  }

  Layers keeping_layers(Index depth) {
    Layers layers;
    const Index count = random_.integer(1, 3);
    for (Index i = 0; i < count; ++i) layers.push_back(keeping_layer(depth));
    return layers;
  }

  std::vector<Layers> branches(Index depth) {
    return random_branches(random_, [&] { return keeping_layers(depth + 1); });
  }

  Layer summed(std::vector<Layers> branches) {
    if (random_.chance(0.6)) return {Sum{std::move(branches)}};
    Mixture mixture{std::move(branches), {}};
    for (std::size_t b = 0; b < mixture.branches.size(); ++b) {
      mixture.logits.push_back(random_.uniform(-2, 2));
    }
    return {mixture};
  }

  // --- ends

  Layers ending() {
    Layers layers;
    if (random_.chance(0.3)) layers.push_back({random_activation(random_)});
    if (random_.chance(0.15)) {
      std::vector<Layers> branches{{{last_window()}}, {{last_window()}}};
      if (random_.chance(0.5))
        branches[1].insert(branches[1].begin(), {random_activation(random_)});
      layers.push_back(summed(std::move(branches)));
    } else {
      layers.push_back({last_window()});
    }
    shape_ = {1, 1};
    const Index more = random_.chance(0.3) ? random_.integer(1, 3) : 0;
    for (Index i = 0; i < more; ++i) layers.push_back(keeping_layer(kMaxDepth - 1));
    return layers;
  }

  /// A window that leaves a map of 1×1.
  Conv2d last_window() {
    const Index low = std::min(shape_.height, shape_.width);
    const Index high = std::max(shape_.height, shape_.width);
    if (low != high || random_.chance(0.2)) {
      // One window at a corner: strides too long for a second one.
      Conv2d conv = convolution(low == high ? random_.integer(1, low) : low);
      conv.padding = 0;
      conv.stride = high - conv.kernel_size + 1;
      return conv;
    }
    const Index around = random_.chance(0.15) ? random_.integer(1, 4) : 0;
    Conv2d conv = convolution(low + 2 * around);
    conv.padding = around;
    if (around == 0 && low > 2 && low % 2 == 1 && random_.chance(0.1)) {
      conv = convolution((low + 1) / 2, 2);
      conv.padding = 0;
    }
    return conv;
  }

  // --- numbers

  Index any_kernel_size() {
    return random_.chance(0.7) ? random_.integer(1, 5) : random_.integer(6, 9);
  }

  Conv2d convolution(Index k, Index dilation = 1) {
    Conv2d conv;
    conv.kernel_size = k;
    conv.dilation = dilation;
    // The part of the window that can lie on the map.
    const auto on_map = [&](Index size) { return std::min(k, (size + dilation - 1) / dilation); };
    const double factor = static_cast<double>(k * k) /
                          static_cast<double>(on_map(shape_.height) * on_map(shape_.width));
    conv.var_weight.value = factor * random_.uniform(0.5, 2.5);
    if (random_.chance(0.2)) {
      conv.var_weight = {.parameter = kWeightName, .scale = factor * random_.uniform(0.5, 2)};
    } else if (random_.chance(0.1)) {
      conv.var_weight = {.parameter = kFixedName, .scale = factor};
    }
    if (random_.chance(0.2)) {
      conv.var_bias.parameter = kBiasName;
    } else if (random_.chance(0.6)) {
      conv.var_bias.value = random_.uniform(0.05, 0.6);
    }
    if (random_.chance(0.02)) conv.var_weight = {.value = 0};
    return conv;
  }

  /// Takes the shape that `conv` reaches; false when it does not fit or grows too large.
  bool apply(const Conv2d& conv) {
    const Index span = conv.dilation * (conv.kernel_size - 1) + 1;
    const Index padding = conv.padding.value_or(span / 2);
    const WindowGeometry geometry{conv.kernel_size, conv.stride, conv.dilation, padding, padding};
    if (!fits(geometry, shape_)) return false;
    const MapShape reached = output_shape(window_geometry(conv, shape_, Path()), shape_);
    if (std::max(reached.height, reached.width) > kLargestMap) return false;
    shape_ = reached;
    return true;
  }

  Random& random_;
  MapShape shape_;
};

MapShape any_shape(Random& random) {
  const auto side = [&] {
    const double size = random.uniform();
    if (size < 0.22) return random.integer(1, 3);
    if (size < 0.72) return random.integer(4, 10);
    return size < 0.9 ? random.integer(11, 16) : random.integer(17, 34);
  };
  const Index height = side();
  return {.height = height, .width = random.chance(0.6) ? height : side()};
}

bool is_small(const Program& program) {
  Index work = 0;
  for (const Op& op : program.ops) {
    const auto* conv = std::get_if<Conv2dOp>(&op);
    const ValueId output = std::visit([](const auto& any) { return any.output; }, op);
    const Index pixels = program.values[static_cast<std::size_t>(output)].shape.num_pixels();
    const Index k = conv != nullptr ? conv->geometry.kernel_size : 4;
    work += pixels * k * k;
  }
  return program.ops.size() <= kMostOps && program.parameters.size() <= kMostParameters &&
         work <= kMostWork;
}

}  // namespace

RandomCase any_case(std::uint64_t seed) {
  Random random(seed);
  while (true) {
    const MapShape map = any_shape(random);
    RandomCase result{.network = {},
                      .shape = {.channels = random.chance(0.6) ? 1 : random.integer(2, 4),
                                .height = map.height,
                                .width = map.width}};
    result.network = AnyBuilder(random, map).build();
    if (is_small(result.program())) return result;
  }
}

}  // namespace gramtile::test
