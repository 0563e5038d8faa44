#include "tests/support/any_network.hpp"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "engine/core/errors.hpp"
#include "engine/network/geometry.hpp"
#include "tests/support/operation_table.hpp"

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

/// What `conv` makes of a map; nothing where it does not fit.
std::optional<MapShape> reached_from(MapShape shape, const Conv2d& conv) {
  try {
    return output_shape(window_geometry(conv, shape, Path()), shape);
  } catch (const NetworkError&) {
    return std::nullopt;
  }
}

PerAxis half(const PerAxis& k, const PerAxis& dilation) {
  return {dilation.y * (k.y / 2), dilation.x * (k.x / 2)};
}

/// Draws layers one after another and keeps track of the shape reached.
class AnyBuilder {
 public:
  AnyBuilder(Random& random, MapShape shape)
      : random_(random), shape_(shape), two_axes_(random.chance(0.5)) {}

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
    const PerAxis k = perhaps_unequal(random_.integer(2, 9), 2, 9);
    const PerAxis dilation = random_.chance(0.8) ? 1 : 2;
    const Conv2d conv = convolution(k, dilation, two_axes_ && random_.chance(0.3));
    const Index padding = half(k, dilation).y;
    const Index period =
        2 * shape_.height / std::gcd(2 * shape_.height, std::max<Index>(padding, 1));
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
      const PerAxis dilation =
          random_.chance(0.2) ? perhaps_unequal(random_.integer(2, 3), 1, 3) : PerAxis(1);
      const bool circular = two_axes_ && random_.chance(0.2);
      Conv2d conv = convolution(any_kernel_size(), dilation, circular);
      if (!circular) conv.padding = perhaps_unequal(random_.integer(0, 4), 0, 4);
      conv.stride = perhaps_unequal(random_.integer(1, largest_stride), 1, largest_stride);
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
      const bool may_grow = first.padding.kind == Padding::Kind::kZeros && first.dilation == 1;
      const Index more = may_grow ? random_.integer(0, 2) : 0;
      if (more > 0) {
        shape_ = from;
        const PerAxis &k = first.kernel_size, &pad = first.padding.amount;
        conv = convolution({k.y + 2 * more, k.x + 2 * more});
        conv.stride = first.stride;
        conv.padding = PerAxis{pad.y + more, pad.x + more};
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
        if (two_axes_ && random_.chance(0.2)) return {Identity{}};
        return {Sequential{keeping_layers(depth + 1)}};
      case 5:
        return {Repeat{random_.integer(1, 4), keeping_layers(depth + 1)}};
      default:
        return summed(branches(depth));
    }
  }

  Conv2d keeping_convolution() {
    const PerAxis dilation =
        random_.chance(0.25) ? perhaps_unequal(random_.integer(2, 3), 1, 3) : PerAxis(1);
    const bool circular = two_axes_ && random_.chance(0.3);
    Conv2d conv = convolution(any_kernel_size(), dilation, circular);
    const PerAxis& k = conv.kernel_size;
    if (!circular && k.y % 2 == 1 && k.x % 2 == 1 && random_.chance(0.3)) {
      conv.padding = half(k, dilation);
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
  Layer last_window() {
    if (!two_axes_ || random_.chance(0.3)) return {last_corner()};
    const Conv2d whole = convolution({shape_.height, shape_.width});
    if (random_.chance(0.5)) return {Dense{whole.var_weight, whole.var_bias}};
    Conv2d conv = whole;
    conv.padding = 0;
    return {conv};
  }

  Conv2d last_corner() {
    const Index low = std::min(shape_.height, shape_.width);
    const Index high = std::max(shape_.height, shape_.width);
    if (low != high || random_.chance(0.2)) {
      // One window at a corner: strides too long for a second one.
      Conv2d conv = convolution(low == high ? random_.integer(1, low) : low);
      conv.padding = 0;
      conv.stride = high - conv.kernel_size.y + 1;
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

  /// `value` for both axes, or one of them another number of that range.
  PerAxis perhaps_unequal(Index value, Index low, Index high) {
    if (!two_axes_ || random_.chance(0.5)) return value;
    const Index other = random_.integer(low, high);
    return random_.chance(0.5) ? PerAxis{value, other} : PerAxis{other, value};
  }

  PerAxis any_kernel_size() {
    const Index k = random_.chance(0.7) ? random_.integer(1, 5) : random_.integer(6, 9);
    return perhaps_unequal(k, 1, 9);
  }

  Conv2d convolution(PerAxis k, PerAxis dilation = 1, bool circular = false) {
    Conv2d conv;
    conv.kernel_size = k;
    conv.dilation = dilation;
    if (circular) conv.padding = Padding::circular();
    // The part of the window that can lie on the map.
    const auto on_map = [&](Index taps, Index between, Index size) {
      return circular ? taps : std::min(taps, (size + between - 1) / between);
    };
    const double factor = static_cast<double>(k.y * k.x) /
                          static_cast<double>(on_map(k.y, dilation.y, shape_.height) *
                                              on_map(k.x, dilation.x, shape_.width));
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
    const auto reached = reached_from(shape_, conv);
    if (!reached || std::max(reached->height, reached->width) > kLargestMap) return false;
    shape_ = *reached;
    return true;
  }

  Random& random_;
  MapShape shape_;
  bool two_axes_;  ///< windows can be unequal along them, or go round; layers for any map occur
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

/// Work per output pixel, in terms of a window.
struct Work {
  Index operator()(const Conv2dOp& op) const { return num_terms(op); }
  Index operator()(const ActivationOp&) const { return 16; }
  Index operator()(const SumOp&) const { return 16; }
};

bool is_small(const Program& program) {
  Index work = 0;
  for (const Op& op : program.ops) {
    const ValueId output = std::visit([](const auto& any) { return any.output; }, op);
    const Index pixels = program.values[static_cast<std::size_t>(output)].shape.num_pixels();
    work += pixels * std::visit(Work(), op);
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
