// The lane program read backwards: plain data for the kernels, as lane_step.hpp.
//
// A step  output = weight · Σ_window source + bias + addend_weight · addend  gives, with the
// adjoint a of its output and T the transposed window sum of a,
//
//   adjoint of source  weight · T          ∂weight        Σ source · T   (eq. 20, 25)
//   adjoint of addend  addend_weight · a   ∂addend_weight Σ addend · a        ∂bias  Σ a
//
// The three sums are the step's raw derivatives; reverse_program.cpp turns them into parameters.
#pragma once

#include <type_traits>

#include "engine/lanes/lane_step.hpp"

namespace gramtile {

/// Raw derivatives of a step, in this order. A gradient leaves a part of ∂weight out, and of steps
/// behind haversines all of it, for its caller to make of the rest (complete_weights.hpp).
enum RawDerivative { kRawWeight, kRawBias, kRawAddend, kNumRaw };

struct ReverseStep {
  LaneStep forward;
  Index output_adjoint = kNoSlot;  ///< slots of adjoint maps
  Index source_adjoint = kNoSlot;  ///< kNoSlot for kImages
  Index addend_adjoint = kNoSlot;
  bool source_first = true;  ///< nothing has been added to the source's adjoint yet
  bool addend_first = true;
  /// The output's adjoint is the addend's as well, as it is: its map stays, and no addend_adjoint.
  bool adjoint_stays = false;
  /// Pixels in the extended variance stack where xx of the source, and of the addend, stand; they
  /// are there where the source is a plain map. kNoSlot otherwise.
  Index source_variance = kNoSlot;
  Index addend_variance = kNoSlot;
  /// T is a window sum of the output's adjoint, with this geometry.
  bool is_window = false;
  WindowGeometry transposed = {};
  /// As in LaneStep: the step before completes the adjoint of this step's output and sums it along
  /// x. Its map is then stored only where it stays.
  bool sums_ready = false;
  Index sums_offset = 0;
  /// Pairs: the tape of the source holds haversines (LaneStep::haversine_suffices).
  bool from_haversines = false;
  /// The next step reads the images. Where the tape holds sums (keeps_sums()), this one
  /// makes its raw derivatives, too, and it does not run.
  bool ends = false;
};

/// A reverse program as the kernels see it.
struct ReverseSteps {
  LaneSteps forward;
  const ReverseStep* steps = nullptr;  ///< in the order of execution: last forward step first
  Index num_steps = 0;
  Index seed_adjoint = 0;  ///< adjoint slot of the output value
  Index num_adjoints = 0;
};

/// Buffers of one pack on its way back, gradient mode.
template <class T>
struct GradientOperands {
  PackOperands<T> pack;  ///< slots hold the tape of the forward pass
  const T* seeds;        ///< [lane] ∂L/∂K
  T* adjoints;           ///< maps, [slot][pixel][lane]
  T* group;              ///< kGroupRows rows of vectors
  double* raw;           ///< [step][kNumRaw], added to: sums over pixels and lanes
  T* column_bend;        ///< [num_map_pixels][lane], added to: adjoint · √xx √(1−c²)
  T* row_bend;  ///< [num_map_pixels], added to: adjoint · √yy √(1−c²) summed over lanes
  bool row_bend_first;  ///< row_bend is overwritten instead
};

/// Buffers of one pack on its way back, jacobian mode: three adjoint maps, of xy, xx and yy.
template <class T>
struct JacobianOperands {
  PackOperands<T> pack;
  T* adjoints;
  T* row_adjoints;
  T* column_adjoints;
  T *row_scratch, *column_scratch;  ///< as pack.scratch, for the maps of xx and yy
  T* bend;                          ///< one map: adjoint · √(1−c²) of the relu at hand
  T* raw;                           ///< [step][kNumRaw][lane], output
};

/// Buffers of one pack of images on its way back through their variances.
template <class T>
struct ChainOperands {
  const T* pack;   ///< one pack of a LaneBlock
  const T* seeds;  ///< [lane] adjoint of K(x, x)
  const T* bend;   ///< [num_map_pixels][lane], or nullptr: Σ adjoint · bend / √xx of the pairs
  T* adjoints;
  T* scratch;
  T* raw;  ///< [step][kNumRaw][lane], output
};

}  // namespace gramtile
