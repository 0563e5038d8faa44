#include "tests/support/random_network.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "engine/network/geometry.hpp"
#include "tests/support/operation_table.hpp"

namespace gramtile::test {
namespace {

constexpr Index kMaxDepth = 3;

const std::string kWeightName = "w";
const std::string kBiasName = "b";
const std::string kFixedName = "fixed";

// Builds layers one after another and keeps track of the shape reached.
class Builder {
 public:
  Builder(Random& random, MapShape shape) : random_(random), shape_(shape) {}

  RandomCase build(ImageShape image) {
    RandomCase result{.network = {}, .shape = image};
    result.network.parameters = {{kBiasName, {.value = random_.uniform(0.05, 0.5)}},
                                 {kFixedName, {.value = 1.1, .trainable = false}},
                                 {kWeightName, {.value = random_.uniform(0.5, 1.5)}}};
    Layers& layers = result.network.layers;
    const Index num_layers = random_.integer(2, 5);
    for (Index i = 0; i < num_layers; ++i) {
      layers.push_back(any_layer());
    }
    layers.push_back({Relu{}});
    layers.push_back(last());
    return result;
  }

 private:
  Layer any_layer() {
    const Index kind = random_.integer(0, 5);
    if (kind == 0 && shape_.height > 3 && shape_.width > 3) {
      return padded_convolution();
    }
    if (kind == 1 && shape_.height > 3 && shape_.width > 3) {
      return strided_sum();
    }
    return keeping_layer(0);
  }

  // 1×1 whatever the shape.
  Layer last() {
    if (random_.chance(0.4)) {
      const Conv2d numbers = convolution(1);
      return {Dense{numbers.var_weight, numbers.var_bias}};
    }
    // One window at the corner of what is left.
    Conv2d last = convolution(std::min(shape_.height, shape_.width));
    last.padding = 0;
    last.stride = std::abs(shape_.height - shape_.width) + 1;
    return {last};
  }

  /// One number for both axes, or two.
  PerAxis per_axis(Index low, Index high) {
    const Index y = random_.integer(low, high);
    return {y, random_.chance(0.6) ? y : random_.integer(low, high)};
  }

  // Integer padding: changes the shape.
  Layer padded_convolution() {
    Conv2d conv = convolution(per_axis(1, 3));
    conv.padding = per_axis(0, 2);
    conv.stride = per_axis(1, 3);
    apply(conv);
    return {conv};
  }

  // As in a residual network: each branch begins with a convolution of the same stride.
  Layer strided_sum() {
    const PerAxis stride = per_axis(2, 3);
    Sum sum;
    const Index num_branches = random_.integer(2, 3);
    std::vector<Conv2d> first;
    for (Index b = 0; b < num_branches; ++b) {
      first.push_back(convolution(per_axis(1, 4)));
      if (random_.chance(0.2)) first.back().padding = Padding::circular();
      first.back().stride = stride;
    }
    apply(first.front());
    for (const Conv2d& conv : first) {
      Layers branch = keeping_layers(1);
      branch.insert(branch.begin(), Layer{conv});
      sum.branches.push_back(std::move(branch));
    }
    return {sum};
  }

  // Layers that leave the shape as it is.
  Layer keeping_layer(Index depth) {
    const Index kind = depth < kMaxDepth ? random_.integer(0, 7) : random_.integer(0, 3);
    switch (kind) {
      case 0:
      case 1: {
        Conv2d conv = convolution(per_axis(1, 5));
        conv.dilation = per_axis(1, 2);
        if (random_.chance(0.2)) conv.padding = Padding::circular();
        return {conv};
      }
      case 2:
      case 3:
        return {random_activation(random_)};
      case 4:
        if (random_.chance(0.2)) return {Identity{}};
        return {Sequential{keeping_layers(depth + 1)}};
      case 5:
        return {Repeat{random_.integer(1, 3), keeping_layers(depth + 1)}};
      case 6:
        return {Sum{branches(depth)}};
      default: {
        Mixture mixture{branches(depth), {}};
        for (std::size_t b = 0; b < mixture.branches.size(); ++b) {
          mixture.logits.push_back(random_.uniform(-1, 1));
        }
        return {mixture};
      }
    }
  }

  Layers keeping_layers(Index depth) {
    Layers layers;
    const Index num_layers = random_.integer(1, 2);
    for (Index i = 0; i < num_layers; ++i) {
      layers.push_back(keeping_layer(depth));
    }
    return layers;
  }

  std::vector<Layers> branches(Index depth) {
    return random_branches(random_, [&] { return keeping_layers(depth + 1); });
  }

  Conv2d convolution(PerAxis kernel_size) {
    Conv2d conv;
    conv.kernel_size = kernel_size;
    conv.var_weight.value = random_.uniform(0.5, 2.5);
    if (random_.chance(0.2)) {
      conv.var_weight = {.parameter = kWeightName, .scale = random_.uniform(0.5, 2)};
    } else if (random_.chance(0.1)) {
      conv.var_weight.parameter = kFixedName;
    }
    if (random_.chance(0.2)) {
      conv.var_bias.parameter = kBiasName;
    } else if (random_.chance(0.6)) {
      conv.var_bias.value = random_.uniform(0.05, 0.6);
    }
    return conv;
  }

  void apply(const Conv2d& conv) {
    shape_ = output_shape(window_geometry(conv, shape_, Path()), shape_);
  }

  Random& random_;
  MapShape shape_;
};

// weights = softmax(logits), with one logit changed by delta.
void shift_logit(std::vector<double>& weights, std::size_t logit, double delta) {
  weights[logit] *= std::exp(delta);
  double sum = 0;
  for (const double weight : weights) {
    sum += weight;
  }
  for (double& weight : weights) {
    weight /= sum;
  }
}

}  // namespace

RandomCase random_case(std::uint64_t seed) {
  Random random(seed);
  const Index height = random.integer(4, 9);
  const Index width = random.chance(0.5) ? height : random.integer(4, 9);
  const ImageShape image{.channels = random.integer(1, 3), .height = height, .width = width};
  return Builder(random, {.height = height, .width = width}).build(image);
}

std::vector<double> random_image(Random& random, ImageShape shape) {
  const bool positive = random.chance(0.25);
  const bool patched = random.chance(0.25);
  std::vector<double> pixels;
  for (Index i = 0; i < shape.num_values(); ++i) {
    const Index row = i / shape.width % shape.height;
    const double pixel = random.normal();
    const bool black = patched && row < shape.height / 2;
    pixels.push_back(black ? 0 : positive ? std::abs(pixel) : pixel);
  }
  return pixels;
}

Program with_shifted_parameter(Program program, Index parameter, double delta) {
  const auto shift = [&](VarianceUse& use) {
    if (use.parameter == parameter) {
      use.value += use.scale * delta;
    }
  };
  program.parameters[static_cast<std::size_t>(parameter)].value += delta;
  struct Shift {
    void operator()(Conv2dOp& conv) const {
      use(conv.weight);
      use(conv.bias);
    }
    void operator()(ActivationOp&) const {}
    void operator()(SumOp& sum) const {
      const Index logit = parameter - sum.first_logit;
      if (sum.first_logit != kNoParameter && logit >= 0 &&
          logit < static_cast<Index>(sum.weights.size())) {
        shift_logit(sum.weights, static_cast<std::size_t>(logit), delta);
      }
    }
    decltype(shift) use;
    Index parameter;
    double delta;
  };
  for (Op& op : program.ops) std::visit(Shift{shift, parameter, delta}, op);
  return program;
}

}  // namespace gramtile::test
