// What the kernels of every instruction set know of an activation: which one it is, and its number.
// Plain data, no std containers. Everything else asks activation.hpp.
#pragma once

namespace gramtile {

enum class ActivationKind { kRelu, kLeakyRelu, kErf };

/// An activation as plain data.
struct ActivationCode {
  ActivationKind kind = ActivationKind::kRelu;
  double negative_slope = 0;  ///< kLeakyRelu
};

/// What it makes of a variance: the diagonal of its pair function, xx → E[φ(u)²].
double diagonal_of(const ActivationCode& activation, double xx);

}  // namespace gramtile
