// One of the activations, and what most of the engine asks of it. A new one: its pair of files, its
// name in the variant, in ActivationKind and in with_activation(); the compiler names the rest.
#pragma once

#include <variant>

#include "engine/activations/activation_kind.hpp"
#include "engine/activations/erf.hpp"
#include "engine/activations/leaky_relu.hpp"
#include "engine/activations/relu.hpp"

namespace gramtile {

using Activation = std::variant<Relu, LeakyRelu, Erf>;

/// ask(function) of the activation, a PairFunction.
template <class Ask>
auto ask(const Activation& activation, const Ask& question) {
  return std::visit(
      [&](const auto& function) {
        static_assert(PairFunction<std::decay_t<decltype(function)>>);
        return question(function);
      },
      activation);
}

inline bool is_homogeneous(const Activation& activation) {
  return ask(activation, [](const auto& f) { return f.kHomogeneous; });
}
inline bool is_fused(const Activation& activation) {
  return ask(activation, [](const auto& f) { return f.kFused; });
}
inline bool is_never_negative(const Activation& activation) {
  return ask(activation, [](const auto& f) { return f.never_negative(); });
}

/// The activation that the kernels know by `code`.
Activation activation_of(const ActivationCode& code);

}  // namespace gramtile
