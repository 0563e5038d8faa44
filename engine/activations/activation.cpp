#include "engine/activations/activation.hpp"

#include <stdexcept>

namespace gramtile {

Activation activation_of(const ActivationCode& code) {
  switch (code.kind) {
    case ActivationKind::kRelu:
      return Relu{};
    case ActivationKind::kLeakyRelu:
      return LeakyRelu{code.negative_slope};
    case ActivationKind::kErf:
      return Erf{};
  }
  throw std::logic_error("no such activation");
}

double diagonal_of(const ActivationCode& activation, double xx) {
  return ask(activation_of(activation), [&](const auto& f) { return f.diagonal(xx); });
}

}  // namespace gramtile
