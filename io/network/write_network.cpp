// The canonical text of a network: keys in a fixed order, every default written out, numbers in the
// shortest form that reads back as the same double.
#include <nlohmann/json.hpp>

#include "io/network/network_json.hpp"

namespace gramtile {
namespace {

using Json = nlohmann::ordered_json;

Json to_value(const Variance& variance) {
  if (!variance.parameter) {
    return variance.value;
  }
  if (variance.scale == 1) {
    return *variance.parameter;
  }
  return Json{{"parameter", *variance.parameter}, {"scale", variance.scale}};
}

Json to_value(const Layers& layers);

Json to_value(const std::vector<Layers>& branches) {
  Json list = Json::array();
  for (const Layers& branch : branches) {
    list.push_back(to_value(branch));
  }
  return list;
}

Json to_value(const PerAxis& value) {
  if (value.y == value.x) {
    return value.y;
  }
  return Json::array({value.y, value.x});
}

Json to_value(const Padding& padding) {
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

Json to_value(const Conv2d& conv) {
  return Json{{"type", "conv2d"},
              {"kernel_size", to_value(conv.kernel_size)},
              {"stride", to_value(conv.stride)},
              {"padding", to_value(conv.padding)},
              {"dilation", to_value(conv.dilation)},
              {"var_weight", to_value(conv.var_weight)},
              {"var_bias", to_value(conv.var_bias)}};
}

Json to_value(const Dense& dense) {
  return Json{{"type", "dense"},
              {"var_weight", to_value(dense.var_weight)},
              {"var_bias", to_value(dense.var_bias)}};
}

Json to_value(const Identity&) { return Json{{"type", "identity"}}; }

template <class Function>
Json to_value_of(const Function&) {
  return Json{{"type", std::string(Function::kName)}};
}
Json to_value_of(const LeakyRelu& leaky) {
  return Json{{"type", std::string(LeakyRelu::kName)}, {"negative_slope", leaky.negative_slope}};
}

Json to_value(const Activation& activation) {
  return ask(activation, [](const auto& function) { return to_value_of(function); });
}

Json to_value(const Sequential& sequential) {
  return Json{{"type", "sequential"}, {"layers", to_value(sequential.layers)}};
}

Json to_value(const Repeat& repeat) {
  return Json{{"type", "repeat"}, {"times", repeat.times}, {"layers", to_value(repeat.layers)}};
}

Json to_value(const Sum& sum) {
  return Json{{"type", "sum"}, {"branches", to_value(sum.branches)}};
}

Json to_value(const Mixture& mixture) {
  return Json{
      {"type", "mixture"}, {"branches", to_value(mixture.branches)}, {"logits", mixture.logits}};
}

Json to_value(const Layers& layers) {
  Json list = Json::array();
  for (const Layer& layer : layers) {
    list.push_back(std::visit([](const auto& kind) { return to_value(kind); }, layer.kind));
  }
  return list;
}

Json to_value(const std::map<std::string, NamedParameter>& parameters) {
  Json object = Json::object();
  for (const auto& [name, parameter] : parameters) {
    object[name] = parameter.trainable ? Json(parameter.value)
                                       : Json{{"value", parameter.value}, {"trainable", false}};
  }
  return object;
}

}  // namespace

std::string to_json(const Network& network) {
  const Json document{{"name", network.name},
                      {"parameters", to_value(network.parameters)},
                      {"layers", to_value(network.layers)}};
  return document.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace gramtile
