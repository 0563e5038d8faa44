// From strict JSON to the layer tree; every key of docs/networks.md is read here.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <array>
#include <nlohmann/json.hpp>
#include <string_view>
#include <type_traits>

#include "engine/core/errors.hpp"
#include "io/network/json_checks.hpp"
#include "io/network/network_json.hpp"

namespace gramtile {
namespace {

using Json = nlohmann::json;

Layers read_layers(const Json& value, std::string_view key, const Path& path);

Variance read_variance(const Json& value, const Path& path) {
  if (value.is_number()) {
    return {.value = number(value, path)};
  }
  if (value.is_string()) {
    return {.parameter = name_text(value, path)};
  }
  if (!value.is_object()) {
    refuse(value, "a number, a parameter's name or an object", path);
  }
  check_keys(value, {"parameter", "scale"}, path);
  Variance variance;
  variance.parameter = name_text(require(value, "parameter", path), path.at("parameter"));
  if (const Json* scale = find(value, "scale")) {
    variance.scale = number(*scale, path.at("scale"));
  }
  return variance;
}

/// One integer, or two: along y (rows) and along x (columns).
PerAxis read_per_axis(const Json& value, std::string_view expected, const Path& path) {
  if (value.is_number_integer()) {
    return integer(value, path);
  }
  if (!value.is_array() || value.size() != 2) {
    refuse(value, expected, path);
  }
  return {integer(value[0], path.at(0)), integer(value[1], path.at(1))};
}

PerAxis read_per_axis(const Json& value, const Path& path) {
  return read_per_axis(value, "an integer, or a list of two", path);
}

Padding read_padding(const Json& value, const Path& path) {
  if (value == "same") {
    return {};
  }
  if (value == "circular") {
    return Padding::circular();
  }
  if (value == "valid") {
    return Padding(0);
  }
  return read_per_axis(value, "an integer, a list of two, \"same\", \"valid\" or \"circular\"",
                       path);
}

/// var_weight and var_bias of a layer that has them.
template <class AnyLayer>
void read_variances(const Json& value, const Path& path, AnyLayer& layer) {
  if (const Json* var_weight = find(value, "var_weight")) {
    layer.var_weight = read_variance(*var_weight, path.at("var_weight"));
  }
  if (const Json* var_bias = find(value, "var_bias")) {
    layer.var_bias = read_variance(*var_bias, path.at("var_bias"));
  }
}

Layer read_conv2d(const Json& value, const Path& path) {
  check_keys(value,
             {"type", "kernel_size", "stride", "padding", "dilation", "var_weight", "var_bias"},
             path);
  Conv2d conv;
  conv.kernel_size = read_per_axis(require(value, "kernel_size", path), path.at("kernel_size"));
  if (const Json* stride = find(value, "stride")) {
    conv.stride = read_per_axis(*stride, path.at("stride"));
  }
  if (const Json* padding = find(value, "padding")) {
    conv.padding = read_padding(*padding, path.at("padding"));
  }
  if (const Json* dilation = find(value, "dilation")) {
    conv.dilation = read_per_axis(*dilation, path.at("dilation"));
  }
  read_variances(value, path, conv);
  return {conv};
}

Layer read_dense(const Json& value, const Path& path) {
  check_keys(value, {"type", "var_weight", "var_bias"}, path);
  Dense dense;
  read_variances(value, path, dense);
  return {dense};
}

Layer read_identity(const Json& value, const Path& path) {
  check_keys(value, {"type"}, path);
  return {Identity{}};
}

/// An activation without numbers.
template <class Function>
Layer read_activation(const Json& value, const Path& path) {
  check_keys(value, {"type"}, path);
  return {Function{}};
}

template <>
Layer read_activation<LeakyRelu>(const Json& value, const Path& path) {
  check_keys(value, {"type", "negative_slope"}, path);
  return {LeakyRelu{number(require(value, "negative_slope", path), path.at("negative_slope"))}};
}

Layer read_sequential(const Json& value, const Path& path) {
  check_keys(value, {"type", "layers"}, path);
  return {Sequential{read_layers(require(value, "layers", path), "layers", path)}};
}

Layer read_repeat(const Json& value, const Path& path) {
  check_keys(value, {"type", "times", "layers"}, path);
  Repeat repeat;
  repeat.times = integer(require(value, "times", path), path.at("times"));
  repeat.layers = read_layers(require(value, "layers", path), "layers", path);
  return {repeat};
}

std::vector<Layers> read_branches(const Json& value, const Path& path) {
  const Json& branches = list(require(value, "branches", path), path.at("branches"));
  std::vector<Layers> result;
  for (const Json& branch : branches) {
    result.push_back(
        read_layers(branch, {}, path.at("branches", static_cast<Index>(result.size()))));
  }
  return result;
}

Layer read_sum(const Json& value, const Path& path) {
  check_keys(value, {"type", "branches"}, path);
  return {Sum{read_branches(value, path)}};
}

Layer read_mixture(const Json& value, const Path& path) {
  check_keys(value, {"type", "branches", "logits"}, path);
  Mixture mixture;
  mixture.branches = read_branches(value, path);
  for (const Json& logit : list(require(value, "logits", path), path.at("logits"))) {
    const Index position = static_cast<Index>(mixture.logits.size());
    mixture.logits.push_back(number(logit, path.at("logits", position)));
  }
  return {mixture};
}

struct LayerType {
  std::string_view name;
  Layer (*read)(const Json& value, const Path& path);
};

/// Linear layers, every activation, and what holds layers.
template <class... Functions>
constexpr auto layer_types(std::type_identity<std::variant<Functions...>>) {
  return std::array{LayerType{"conv2d", read_conv2d},
                    LayerType{"dense", read_dense},
                    LayerType{Functions::kName, read_activation<Functions>}...,
                    LayerType{"identity", read_identity},
                    LayerType{"sequential", read_sequential},
                    LayerType{"repeat", read_repeat},
                    LayerType{"sum", read_sum},
                    LayerType{"mixture", read_mixture}};
}
constexpr auto kLayerTypes = layer_types(std::type_identity<Activation>());

Layer read_layer(const Json& value, const Path& path) {
  if (!value.is_object()) {
    refuse(value, "an object", path);
  }
  const std::string& type = name_text(require(value, "type", path), path.at("type"));
  std::vector<std::string_view> names;
  for (const LayerType& known : kLayerTypes) {
    if (known.name == type) {
      return known.read(value, path);
    }
    names.push_back(known.name);
  }
  throw NetworkError(path.at("type").text(), fmt::format("no layer is called \"{}\"; there are {}",
                                                         type, fmt::join(names, ", ")));
}

// `key` names the list in messages: "layers", or empty for a branch, whose path is its own.
Layers read_layers(const Json& value, std::string_view key, const Path& path) {
  Layers layers;
  for (const Json& layer : list(value, key.empty() ? path : path.at(key))) {
    layers.push_back(read_layer(layer, path.at(key, static_cast<Index>(layers.size()))));
  }
  return layers;
}

NamedParameter read_parameter(const Json& value, const Path& path) {
  if (value.is_number()) {
    return {.value = number(value, path)};
  }
  if (!value.is_object()) {
    refuse(value, "a number or an object", path);
  }
  check_keys(value, {"value", "trainable"}, path);
  NamedParameter parameter{.value = number(require(value, "value", path), path.at("value"))};
  if (const Json* trainable = find(value, "trainable")) {
    parameter.trainable = boolean(*trainable, path.at("trainable"));
  }
  return parameter;
}

std::map<std::string, NamedParameter> read_parameters(const Json& value, const Path& path) {
  if (!value.is_object()) {
    refuse(value, "an object", path);
  }
  std::map<std::string, NamedParameter> parameters;
  for (const auto& [name, parameter] : value.items()) {
    name_text(Json(name), path);
    if (name.empty()) {
      throw NetworkError(path.text(), "a parameter has an empty name");
    }
    parameters.emplace(name, read_parameter(parameter, path.at(name)));
  }
  return parameters;
}

Network read_document(const Json& document) {
  const Path root;
  check_keys(document, {"name", "parameters", "layers"}, root);
  Network network;
  if (const Json* name = find(document, "name")) {
    network.name = name_text(*name, root.at("name"));
  }
  if (const Json* parameters = find(document, "parameters")) {
    network.parameters = read_parameters(*parameters, root.at("parameters"));
  }
  network.layers = read_layers(require(document, "layers", root), "layers", root);
  return network;
}

}  // namespace

Network read_network(const std::string& text, const std::string& name_for_errors) {
  try {
    if (text.size() > kMaxNetworkBytes) {
      throw NetworkError("", fmt::format("larger than {} bytes", kMaxNetworkBytes));
    }
    return read_document(parse_strictly(text, kMaxJsonDepth));
  } catch (const NetworkError& error) {
    throw in_file(name_for_errors, error);
  }
}

}  // namespace gramtile
