// The walk over the layer tree: each layer turns the value before it into a new one. Everything
// that a hostile network can make large (nesting, turns of a repeat, branches) is counted while
// walking, so that the walk ends after a bounded number of steps.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/core/errors.hpp"
#include "engine/network/geometry.hpp"
#include "engine/network/parameter_table.hpp"
#include "engine/network/parameter_values.hpp"
#include "engine/network/path.hpp"
#include "engine/network/program.hpp"

namespace gramtile {
namespace {

std::string text_of(MapShape shape) { return fmt::format("{}×{}", shape.height, shape.width); }

// Sets Value::nonnegative of every value, from that of the images' product.
void mark_nonnegative(Program& program, bool images) {
  const auto flag = [&](ValueId value) -> bool& {
    return program.values[static_cast<std::size_t>(value)].nonnegative;
  };
  flag(0) = images;
  struct Flags {
    bool operator()(const Conv2dOp& conv) const { return at(conv.input); }
    bool operator()(const ActivationOp& op) const {
      return is_never_negative(op.activation) || at(op.input);
    }
    bool operator()(const SumOp& sum) const { return std::ranges::all_of(sum.inputs, at); }
    decltype(flag) at;
  };
  for (const Op& op : program.ops) {
    const ValueId output = std::visit([](const auto& any) { return any.output; }, op);
    flag(output) = std::visit(Flags{flag}, op);
  }
}

class Lowering {
 public:
  Lowering(const Network& network, ImageShape shape) : parameters_(network.parameters) {
    program_.input = shape;
    const MapShape map{.height = shape.height, .width = shape.width};
    program_.values.push_back({.shape = map});
  }

  Program run(const Layers& layers) {
    const Path root;
    program_.output = sequence(layers, "layers", 0, root, 0);
    check_output();
    mark_nonnegative(program_, false);
    parameters_.resolve(program_);
    return std::move(program_);
  }

 private:
  // `key` names the list in messages: "layers", or empty for a branch, whose path is its own.
  ValueId sequence(const Layers& layers, std::string_view key, ValueId input, const Path& path,
                   int nesting) {
    if (nesting > kMaxNesting) {
      throw NetworkError(path.text(),
                         fmt::format("layers are nested more than {} deep", kMaxNesting));
    }
    ValueId value = input;
    for (std::size_t i = 0; i < layers.size(); ++i) {
      const Path here = path.at(key, static_cast<Index>(i));
      count_step(here);
      value = std::visit([&](const auto& kind) { return layer(kind, value, here, nesting); },
                         layers[i].kind);
    }
    return value;
  }

  ValueId layer(const Conv2d& conv, ValueId input, const Path& path, int) {
    return window(window_geometry(conv, shape_of(input), path), conv,
                  fmt::format("conv{}", num_convs_++), input, path);
  }

  ValueId layer(const Dense& dense, ValueId input, const Path& path, int) {
    return window(whole_map(shape_of(input)), dense, fmt::format("dense{}", num_dense_++), input,
                  path);
  }

  // `variances`: a layer with var_weight and var_bias; `name`: of the layer's numbers.
  template <class Variances>
  ValueId window(const WindowGeometry& geometry, const Variances& variances,
                 const std::string& name, ValueId input, const Path& path) {
    Conv2dOp op{.input = input, .output = 0, .geometry = geometry, .weight = {}, .bias = {}};
    op.weight = parameters_.use(variances.var_weight, name + ".var_weight", path.at("var_weight"));
    // A literal 0 means "no bias": nothing to differentiate (docs/mathematics.md, §5).
    if (variances.var_bias.parameter || variances.var_bias.value != 0) {
      op.bias = parameters_.use(variances.var_bias, name + ".var_bias", path.at("var_bias"));
    }
    return emit(std::move(op), output_shape(geometry, shape_of(input)), path);
  }

  static ValueId layer(const Identity&, ValueId input, const Path&, int) { return input; }

  ValueId layer(const Activation& activation, ValueId input, const Path& path, int) {
    std::visit([&](const auto& function) { check(function, path); }, activation);
    const ActivationOp op{.input = input,
                          .output = 0,
                          .activation = activation,
                          .number = program_.num_activations++};
    return emit(op, shape_of(input), path);
  }

  static void check(const Relu&, const Path&) {}
  static void check(const Erf&, const Path&) {}
  static void check(const LeakyRelu& leaky, const Path& path) {
    constexpr double kMost = LeakyRelu::kLargestSlope;
    if (std::abs(leaky.negative_slope) <= kMost) return;
    throw NetworkError(
        path.at("negative_slope").text(),
        fmt::format("must be between {} and {}, found {}", -kMost, kMost, leaky.negative_slope));
  }

  ValueId layer(const Sequential& sequential, ValueId input, const Path& path, int nesting) {
    return sequence(sequential.layers, "layers", input, path, nesting + 1);
  }

  ValueId layer(const Repeat& repeat, ValueId input, const Path& path, int nesting) {
    if (repeat.times < 1) {
      throw NetworkError(path.at("times").text(),
                         fmt::format("must be at least 1, found {}", repeat.times));
    }
    ValueId value = input;
    for (Index turn = 0; turn < repeat.times; ++turn) {
      count_step(path);
      value = sequence(repeat.layers, "layers", value, path, nesting + 1);
    }
    return value;
  }

  ValueId layer(const Sum& sum, ValueId input, const Path& path, int nesting) {
    SumOp op = branches_of(sum.branches, input, path, nesting);
    op.weights.assign(op.inputs.size(), 1.0);
    return emit_sum(std::move(op), path);
  }

  ValueId layer(const Mixture& mixture, ValueId input, const Path& path, int nesting) {
    check_logits(mixture, path);
    const Index number = num_mixtures_++;
    Index first_logit = kNoParameter;
    for (std::size_t b = 0; b < mixture.logits.size(); ++b) {
      const Index index =
          parameters_.add(fmt::format("mixture{}.logit{}", number, b), mixture.logits[b]);
      first_logit = b == 0 ? index : first_logit;
    }
    SumOp op = branches_of(mixture.branches, input, path, nesting);
    op.weights = softmax(mixture.logits);
    op.first_logit = first_logit;
    return emit_sum(std::move(op), path);
  }

  static void check_logits(const Mixture& mixture, const Path& path) {
    if (mixture.logits.size() != mixture.branches.size()) {
      throw NetworkError(path.at("logits").text(),
                         fmt::format("one for each of the {} branches is needed, found {}",
                                     mixture.branches.size(), mixture.logits.size()));
    }
    for (std::size_t b = 0; b < mixture.logits.size(); ++b) {
      if (!std::isfinite(mixture.logits[b])) {
        throw NetworkError(path.at("logits", static_cast<Index>(b)).text(),
                           fmt::format("must be finite, found {}", mixture.logits[b]));
      }
    }
  }

  SumOp branches_of(const std::vector<Layers>& branches, ValueId input, const Path& path,
                    int nesting) {
    if (branches.empty()) {
      throw NetworkError(path.at("branches").text(), "at least one branch is needed");
    }
    SumOp op{.inputs = {}, .output = 0, .weights = {}};
    for (std::size_t b = 0; b < branches.size(); ++b) {
      const Path here = path.at("branches", static_cast<Index>(b));
      count_step(here);
      op.inputs.push_back(sequence(branches[b], {}, input, here, nesting + 1));
      if (shape_of(op.inputs[b]) != shape_of(op.inputs[0])) {
        throw NetworkError(here.text(), fmt::format("gives maps of {}, but branches[0] of {}",
                                                    text_of(shape_of(op.inputs[b])),
                                                    text_of(shape_of(op.inputs[0]))));
      }
    }
    return op;
  }

  ValueId emit_sum(SumOp op, const Path& path) {
    const MapShape shape = shape_of(op.inputs[0]);
    return emit(std::move(op), shape, path);
  }

  template <class AnyOp>
  ValueId emit(AnyOp op, MapShape shape, const Path& path) {
    if (static_cast<Index>(program_.ops.size()) == kMaxOps) {
      throw NetworkError(path.text(),
                         fmt::format("the network has more than {} operations", kMaxOps));
    }
    const ValueId value = static_cast<ValueId>(program_.values.size());
    op.output = value;
    program_.ops.emplace_back(std::move(op));
    program_.values.push_back({.shape = shape});
    return value;
  }

  void count_step(const Path& path) {
    if (++num_steps_ > kMaxSteps) {
      throw NetworkError(path.text(), fmt::format("the network has more than {} layers, branches "
                                                  "and turns of repeats",
                                                  kMaxSteps));
    }
  }

  void check_output() const {
    const MapShape shape = shape_of(program_.output);
    if (shape == MapShape{.height = 1, .width = 1}) {
      return;
    }
    throw NetworkError(
        "layers", fmt::format("for images of {}×{} the network ends with maps of {}, not 1×1; end "
                              "it with a dense layer",
                              program_.input.height, program_.input.width, text_of(shape)));
  }

  MapShape shape_of(ValueId value) const {
    return program_.values[static_cast<std::size_t>(value)].shape;
  }

  Program program_;
  ParameterTable parameters_;
  Index num_convs_ = 0, num_dense_ = 0;
  Index num_mixtures_ = 0;
  Index num_steps_ = 0;
};

void check_images(ImageShape shape) {
  constexpr Index kMost = kMaxMapPixels;
  const bool sensible = shape.channels >= 1 && shape.height >= 1 && shape.width >= 1 &&
                        shape.channels <= kMost && shape.height <= kMost && shape.width <= kMost &&
                        shape.num_pixels() <= kMost;
  if (!sensible) {
    throw NetworkError("",
                       fmt::format("images of {} channels and {}×{} pixels cannot be used: each "
                                   "must be at least 1, and at most {} pixels in all",
                                   shape.channels, shape.height, shape.width, kMost));
  }
}

}  // namespace

Program lower(const Network& network, ImageShape shape) {
  check_images(shape);
  return Lowering(network, shape).run(network.layers);
}

void assume_nonnegative_images(Program& program) { mark_nonnegative(program, true); }

}  // namespace gramtile
