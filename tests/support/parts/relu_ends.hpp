// ReluTurn and ReluEnd (engine/lanes/relu_adjoint-inl.hpp) by themselves, on the instruction set in
// use: the last relu, forwards and backwards in one loop, and the first, which ends at the images.
#pragma once

#include "engine/lanes/lane_step.hpp"

namespace gramtile::test {

/// A relu whose map is affine in window sums: xy = weight · S + bias. Maps are stored in groups of
/// rows (pixel_row), aligned to a vector; a row image's has one value a pixel, the others one
/// vector.
template <class T>
struct ReluEndsJob {
  MapShape shape;
  bool nonnegative;      ///< xy ≥ 0 is known
  T weight, bias;        ///< of the step in front of the relu
  double weight_behind;  ///< of the step behind it
  const T* sums;         ///< S
  const T*
      adjoint;  ///< T, the adjoint of twice the relu but for `weight_behind`; of a turn one vector
  const T *row_root, *row_half_inverse;   ///< √xx and ½/√xx of the row image
  const T *column_root, *column_inverse;  ///< √yy and 1/√yy of the pack
  T* scratch;                             ///< room for a group of rows
  bool in_pairs;  ///< of an end: rows that are no group come as unit windows leave them
};

/// One vector each, but for the two bends.
template <class T>
struct ReluEndsResult {
  T* adjoint_sum;  ///< Σ over pixels of the adjoint of xy
  T* weight_sum;   ///< of an end: Σ over pixels of S · adjoint of xy
  T* column_bend;  ///< [pixel][lane]: T · sin θ · √xx is added
  T* row_bend;     ///< [pixel]: Σ over lanes of T · sin θ · √yy
};

/// Hands S over as the window sums of the step in front of the relu, group by group.
template <class T>
void run_relu_turn(const ReluEndsJob<T>& job, const ReluEndsResult<T>& to);

/// Hands the adjoint over as the transposed window sums of the step behind the relu; S is on the
/// tape.
template <class T>
void run_relu_end(const ReluEndsJob<T>& job, const ReluEndsResult<T>& to);

}  // namespace gramtile::test
