// Which derivative of K a run makes.
#pragma once

namespace gramtile {

/// What is computed of every tile besides, or instead of, K.
enum class Derivative {
  kNone,
  kGradient,  ///< ∂L/∂θ; needs ∂L/∂K
  kJacobian,  ///< ∂K/∂θ of every entry
};

}  // namespace gramtile
