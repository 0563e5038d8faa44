// How far results may be from the exact ones: what docs/mathematics.md, §7, promises, what
// kernel-verify asks for, and what tests hold every engine to.
#pragma once

#include "engine/core/index.hpp"

namespace gramtile {

/// Largest errors that are promised.
struct PromisedAccuracy {
  double kernel;    ///< of K_ij, relative to √(K_ii·K_jj)
  double jacobian;  ///< of ∂K_ij/∂θ, relative to the parameter's largest entry of ∂K/∂θ
  double gradient;  ///< of ∂L/∂θ, relative to that entry times Σ |∂L/∂K_ij|
};

inline constexpr PromisedAccuracy kPromisedFloat32{
    .kernel = 5e-6, .jacobian = 2e-5, .gradient = 2e-5};
inline constexpr PromisedAccuracy kPromisedFloat64{
    .kernel = 1e-12, .jacobian = 1e-10, .gradient = 1e-10};

constexpr const PromisedAccuracy& promised_accuracy(DataType type) {
  return type == DataType::kFloat32 ? kPromisedFloat32 : kPromisedFloat64;
}

}  // namespace gramtile
