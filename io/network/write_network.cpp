// The canonical text of a network: keys in a fixed order, every default written out, numbers in the
// shortest form that reads back as the same double.
#include <nlohmann/json.hpp>

#include "io/network/network_json.hpp"

namespace gramtile {
namespace {

using OrderedJson = nlohmann::ordered_json;

OrderedJson to_value(const Variance& variance) {
  if (!variance.parameter) {
    return variance.value;
  }
  if (variance.scale == 1) {
    return *variance.parameter;
  }
  return OrderedJson{{"parameter", *variance.parameter}, {"scale", variance.scale}};
}

OrderedJson to_value(const Layers& layers);

OrderedJson to_value(const std::vector<Layers>& branches) {
  OrderedJson list = OrderedJson::array();
  for (const Layers& branch : branches) {
    list.push_back(to_value(branch));
  }
  return list;
}

OrderedJson to_value(const PerAxis& value) {
  if (value.y == value.x) {
    return value.y;
  }
  return OrderedJson::array({value.y, value.x});
}

OrderedJson to_value(const Padding& padding) {
  switch (padding.kind) {
    case Padding::Kind::kSame:
      return "same";
    case Padding::Kind::kCircular:
      return "circular";
    case Padding::Kind::kZeros:
      break;
  }
  return to_value(padding.amount);
}

OrderedJson to_value(const Conv2d& conv) {
  return OrderedJson{{"type", "conv2d"},
                     {"kernel_size", to_value(conv.kernel_size)},
                     {"stride", to_value(conv.stride)},
                     {"padding", to_value(conv.padding)},
                     {"dilation", to_value(conv.dilation)},
                     {"var_weight", to_value(conv.var_weight)},
                     {"var_bias", to_value(conv.var_bias)}};
}

OrderedJson to_value(const Dense& dense) {
  return OrderedJson{{"type", "dense"},
                     {"var_weight", to_value(dense.var_weight)},
                     {"var_bias", to_value(dense.var_bias)}};
}

OrderedJson to_value(const Identity&) { return OrderedJson{{"type", "identity"}}; }

template <class Function>
OrderedJson to_value_of(const Function&) {
  return OrderedJson{{"type", std::string(Function::kName)}};
}
OrderedJson to_value_of(const LeakyRelu& leaky) {
  return OrderedJson{{"type", std::string(LeakyRelu::kName)},
                     {"negative_slope", leaky.negative_slope}};
}

OrderedJson to_value(const Activation& activation) {
  return ask(activation, [](const auto& function) { return to_value_of(function); });
}

OrderedJson to_value(const Sequential& sequential) {
  return OrderedJson{{"type", "sequential"}, {"layers", to_value(sequential.layers)}};
}

OrderedJson to_value(const Repeat& repeat) {
  return OrderedJson{
      {"type", "repeat"}, {"times", repeat.times}, {"layers", to_value(repeat.layers)}};
}

OrderedJson to_value(const Sum& sum) {
  return OrderedJson{{"type", "sum"}, {"branches", to_value(sum.branches)}};
}

OrderedJson to_value(const Mixture& mixture) {
  return OrderedJson{
      {"type", "mixture"}, {"branches", to_value(mixture.branches)}, {"logits", mixture.logits}};
}

OrderedJson to_value(const Layers& layers) {
  OrderedJson list = OrderedJson::array();
  for (const Layer& layer : layers) {
    list.push_back(std::visit([](const auto& kind) { return to_value(kind); }, layer.kind));
  }
  return list;
}

OrderedJson to_value(const std::map<std::string, NamedParameter>& parameters) {
  OrderedJson object = OrderedJson::object();
  for (const auto& [name, parameter] : parameters) {
    object[name] = parameter.trainable
                       ? OrderedJson(parameter.value)
                       : OrderedJson{{"value", parameter.value}, {"trainable", false}};
  }
  return object;
}

}  // namespace

std::string to_json(const Network& network) {
  const OrderedJson document{{"name", network.name},
                             {"parameters", to_value(network.parameters)},
                             {"layers", to_value(network.layers)}};
  return document.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

}  // namespace gramtile
