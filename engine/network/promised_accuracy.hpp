// How far results may be from the exact ones: what docs/mathematics.md, §7, promises, what
// kernel-verify asks for, and what tests hold every engine to.
#pragma once

#include "engine/network/network.hpp"

namespace gramtile {

/// Largest errors that are promised.
struct PromisedAccuracy {
  double kernel;    ///< of K_ij, relative to √(K_ii·K_jj)
  double jacobian;  ///< of ∂K_ij/∂θ, relative to the parameter's largest entry of ∂K/∂θ
  double gradient;  ///< of ∂L/∂θ, relative to that entry times Σ |∂L/∂K_ij|
};

/// Of networks with at most kPromisedRelus relus in a row; of deeper ones the errors may be larger
/// in proportion.
inline constexpr PromisedAccuracy kPromisedFloat32{
    .kernel = 5e-6, .jacobian = 2e-5, .gradient = 2e-5};
inline constexpr PromisedAccuracy kPromisedFloat64{
    .kernel = 1e-12, .jacobian = 1e-10, .gradient = 1e-10};
inline constexpr Index kPromisedRelus = 50;

/// Derivatives may be off by this more: by as much as they move when every relu's cosine is off by
/// so many unit roundings (2⁻²⁴, 2⁻⁵³) of the type (reference/cosine_sensitivity.hpp). That is next
/// to nothing but where two images are parallel at a pixel and of different size.
inline constexpr double kPromisedCosineRoundings = 8;

/// For networks that are not deep.
constexpr const PromisedAccuracy& promised_accuracy(DataType type) {
  return type == DataType::kFloat32 ? kPromisedFloat32 : kPromisedFloat64;
}

/// For this network.
PromisedAccuracy promised_accuracy(const Network& network, DataType type);

/// kPromisedCosineRoundings unit roundings of the type.
double promised_cosine_error(DataType type);

/// The most relus that a value passes on its way from the images to K, where other activations
/// count for their PairFunction::kDepth of them. A double: a network that nothing has been checked
/// of may name any number of turns.
double relus_in_a_row(const Network& network);

}  // namespace gramtile
