#include "engine/network/parameter_values.hpp"

#include <algorithm>
#include <cmath>
#include <iterator>
#include <utility>

namespace gramtile {
namespace {

class SetValues {
 public:
  explicit SetValues(std::span<const double> values) : values_(values) {}

  void operator()(Conv2dOp& op) const {
    set(op.weight);
    set(op.bias);
  }
  void operator()(ActivationOp&) const {}
  void operator()(SumOp& op) const {
    if (op.first_logit == kNoParameter) return;
    op.weights = softmax(values_.subspan(as_size(op.first_logit), op.weights.size()));
  }

 private:
  void set(VarianceUse& use) const {
    if (use.parameter != kNoParameter) use.value = use.scale * values_[as_size(use.parameter)];
  }

  std::span<const double> values_;
};

template <class Kind>
concept HasVariances = requires(Kind& kind) {
  kind.var_weight;
  kind.var_bias;
};

using LayerKind = decltype(Layer::kind);

/// Walks the layers as lower() does, and gives each number its value.
class Rewrite {
 public:
  explicit Rewrite(std::span<const double> values) : values_(values) {}

  template <class Kind>
  LayerKind operator()(const Kind& given) {
    Kind kind = given;
    if constexpr (HasVariances<Kind>) {
      if (!kind.var_weight.parameter) kind.var_weight.value = next();
      // A literal 0 is no bias, and no parameter.
      if (!kind.var_bias.parameter && kind.var_bias.value != 0) kind.var_bias.value = next();
    }
    return kind;
  }
  LayerKind operator()(const Sequential& sequential) {
    return Sequential{layers(sequential.layers)};
  }
  LayerKind operator()(const Sum& sum) { return Sum{branches(sum.branches)}; }
  LayerKind operator()(const Mixture& given) {
    Mixture mixture = given;
    for (double& logit : mixture.logits) logit = next();
    mixture.branches = branches(mixture.branches);
    return mixture;
  }
  LayerKind operator()(const Repeat& repeat) {
    const Index before = used_;
    Sequential turns{layers(repeat.layers)};
    if (used_ == before) return Repeat{repeat.times, std::move(turns.layers)};
    for (Index turn = 1; turn < repeat.times; ++turn) {
      Layers more = layers(repeat.layers);
      std::ranges::move(more, std::back_inserter(turns.layers));
    }
    return turns;
  }

  Layers layers(const Layers& given) {
    Layers result;
    for (const Layer& layer : given) result.push_back({std::visit(*this, layer.kind)});
    return result;
  }
  double next() { return values_[as_size(used_++)]; }

 private:
  std::vector<Layers> branches(const std::vector<Layers>& given) {
    std::vector<Layers> result;
    for (const Layers& branch : given) result.push_back(layers(branch));
    return result;
  }

  std::span<const double> values_;
  Index used_ = 0;
};

}  // namespace

std::vector<double> parameter_values(const Program& program) {
  std::vector<double> values;
  for (const Parameter& parameter : program.parameters) values.push_back(parameter.value);
  return values;
}

void set_parameter_values(Program& program, std::span<const double> values) {
  for (std::size_t p = 0; p < values.size(); ++p) program.parameters[p].value = values[p];
  for (Op& op : program.ops) std::visit(SetValues(values), op);
}

Network with_parameter_values(const Network& network, std::span<const double> values) {
  Network result = network;
  Rewrite rewrite(values);
  result.layers = rewrite.layers(network.layers);
  for (auto& [name, parameter] : result.parameters) {
    if (parameter.trainable) parameter.value = rewrite.next();
  }
  return result;
}

std::vector<double> softmax(std::span<const double> logits) {
  const double largest = *std::ranges::max_element(logits);
  std::vector<double> weights;
  double total = 0;
  for (const double logit : logits) total += weights.emplace_back(std::exp(logit - largest));
  for (double& weight : weights) weight /= total;
  return weights;
}

std::vector<bool> parameters_that_are_logits(const Program& program) {
  std::vector<bool> result(program.parameters.size());
  for (const Op& op : program.ops) {
    const auto* sum = std::get_if<SumOp>(&op);
    if (sum == nullptr || sum->first_logit == kNoParameter) continue;
    for (std::size_t b = 0; b < sum->weights.size(); ++b)
      result[as_size(sum->first_logit) + b] = true;
  }
  return result;
}

}  // namespace gramtile
