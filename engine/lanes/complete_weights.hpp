// ∂weight of the steps behind a relu, from what the gradient kernels sum up besides.
//
// Of such a step i, with map m = weight_p · S_p + bias_p, the output of step p, in front of its
// relu, twice the relu f(m) = m · slope + bend/π (relu-inl.hpp), T the adjoint of f(m) over
// weight_i and a = weight_i · T · slope the adjoint of m, summed over pixels and pairs:
//
//   ∂weight_i = Σ f(m) · T = (Σ m · a + Σ weight_i · T · bend/π) / weight_i      (eq. 27)
//   Σ m · a   = weight_p · ∂weight_p + bias_p · ∂bias_p
//
// The kernels accumulate weight_i · T · bend anyway, for the chains of variances; and where the
// tape holds haversines, m is not there and the second line takes its place. All terms of a pair
// have one sign, so nothing cancels that would not cancel in the sum itself.
//
// With the parts of ∂weight and ∂bias that go through the variances, bends drop out (the relu is
// homogeneous in xy, xx and yy together):
//
//   weight_i · ∂weight_i = weight_p · ∂weight_p + bias_p · ∂bias_p      (eq. 28)
//
// which is how jacobians have it, pair by pair (chain-inl.hpp).
#pragma once

#include <span>

#include "engine/lanes/reverse_program.hpp"

namespace gramtile {

/// Completes ∂weight in `raw` [step, kNumRaw]. `bends` [step]: Σ adjoint · r √(1−c²) of steps that
/// read a relu. T: the type that the kernels computed in; they round weights and biases to it.
template <class T>
void complete_weights(const ReverseProgram& program, std::span<const double> bends,
                      std::span<double> raw);

}  // namespace gramtile
