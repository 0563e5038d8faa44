// A network as the user wrote it: a tree of layers, nothing checked beyond types. `lower()` in
// program.hpp checks it against an image shape. docs/networks.md describes the JSON form.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "engine/activations/activation.hpp"
#include "engine/core/index.hpp"

namespace gramtile {

/// A variance: scale · value, where the value is a number of its own or a named parameter.
struct Variance {
  double value = 0;                           ///< used when `parameter` is empty
  std::optional<std::string> parameter = {};  ///< name in Network::parameters
  double scale = 1;                           ///< only with a named parameter
};

/// A named parameter. Not trainable: it has no gradient entry.
struct NamedParameter {
  double value = 0;
  bool trainable = true;
};

struct Layer;
using Layers = std::vector<Layer>;

/// z → var_weight / k² · (sum of z over the k×k window) + var_bias.
struct Conv2d {
  Index kernel_size = 1;
  Index stride = 1;
  std::optional<Index> padding = {};  ///< both sides; empty means "same"
  Index dilation = 1;
  Variance var_weight{.value = 1};
  Variance var_bias{.value = 0};
};

struct Sequential {
  Layers layers;
};

/// The layers, `times` times over; every turn has parameters of its own unless they are named.
struct Repeat {
  Index times = 1;
  Layers layers;
};

/// Sum of the branches' maps; an empty branch is the identity.
struct Sum {
  std::vector<Layers> branches;
};

/// Sum of the branches' maps weighted with softmax(logits).
struct Mixture {
  std::vector<Layers> branches;
  std::vector<double> logits;
};

struct Layer {
  std::variant<Conv2d, Activation, Sequential, Repeat, Sum, Mixture> kind;
};

struct Network {
  std::string name;
  std::map<std::string, NamedParameter> parameters;
  Layers layers;
};

}  // namespace gramtile
