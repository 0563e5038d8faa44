// A network as the user wrote it: a tree of layers, nothing checked beyond types. `lower()` in
// program.hpp checks it against an image shape. docs/networks.md describes the JSON form.
#pragma once

#include <map>
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

/// A number along each axis of a map. One number stands for both.
struct PerAxis {
  Index y = 1, x = 1;

  constexpr PerAxis(Index both) : y(both), x(both) {}
  constexpr PerAxis(Index y_, Index x_) : y(y_), x(x_) {}
  constexpr bool operator==(const PerAxis&) const = default;
};

/// What is put around a map.
struct Padding {
  enum class Kind {
    kSame,      ///< as many zeros as keep the size at stride 1
    kCircular,  ///< as many pixels, of the map's other side
    kZeros,     ///< `amount` zeros on both sides
  };
  Kind kind = Kind::kSame;
  PerAxis amount = 0;  ///< 0 unless kZeros

  constexpr Padding() = default;
  constexpr Padding(Index both) : kind(Kind::kZeros), amount(both) {}
  constexpr Padding(PerAxis amount_) : kind(Kind::kZeros), amount(amount_) {}
  static constexpr Padding circular() {
    Padding padding;
    padding.kind = Kind::kCircular;
    return padding;
  }
  constexpr bool operator==(const Padding&) const = default;
};

/// z → var_weight / taps · (sum of z over the window of kernel_size.y × kernel_size.x taps)
/// + var_bias.
struct Conv2d {
  PerAxis kernel_size = 1;
  PerAxis stride = 1;
  Padding padding = {};
  PerAxis dilation = 1;
  Variance var_weight{.value = 1};
  Variance var_bias{.value = 0};
};

/// A conv2d whose window is the whole map, of any size; leaves a map of 1×1.
struct Dense {
  Variance var_weight{.value = 1};
  Variance var_bias{.value = 0};
};

/// The map as it is.
struct Identity {};

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
  std::variant<Conv2d, Dense, Activation, Identity, Sequential, Repeat, Sum, Mixture> kind;
};

struct Network {
  std::string name;
  std::map<std::string, NamedParameter> parameters;
  Layers layers;
};

}  // namespace gramtile
