// The parameters of a network before any image is seen: what a user may train, where each stands.
#pragma once

#include <string>
#include <vector>

#include "engine/network/network.hpp"

namespace gramtile {

enum class ParameterKind {
  kVariance,  ///< a number ≥ 0
  kLogit,     ///< of a mixture: a number of any sign
};

struct ListedParameter {
  std::string name;  ///< "conv0.var_weight", "mixture0.logit1", or the user's name
  ParameterKind kind = ParameterKind::kVariance;
  double value = 0;
  bool trainable = true;
  /// Where it is used: "layers[0].layers[1].var_weight", one for each turn of a repeat.
  std::vector<std::string> places = {};
};

/// Parameters of `network`: the trainable ones, as and in the order that Program::parameters has
/// them for every image shape, and behind them the others, by name.
/// Throws NetworkError, as lower() does, for a name that no parameter has and for more layers than
/// it takes.
std::vector<ListedParameter> list_parameters(const Network& network);

}  // namespace gramtile
