// The kernels of the instruction set in use: chosen once at run time, in dispatch.cpp, which with
// targets.hpp and targets/ is all that knows an instruction set.
#pragma once

#include <string_view>
#include <vector>

#include "engine/lanes/reverse_step.hpp"

namespace gramtile::simd {

/// What one instruction set offers for one data type. `lanes` pairs are computed together.
template <class T>
struct Kernels {
  Index lanes;
  /// Runs the program forwards on one pack of pairs; K is left in the output slot, pixel 0.
  void (*forward)(const LaneSteps& program, const PackOperands<T>& pack);
  /// Runs the program backwards on one pack whose tape is in the slots.
  void (*gradient)(const ReverseSteps& program, const GradientOperands<T>& pack);
  /// The same, every pair by itself.
  void (*jacobian)(const ReverseSteps& program, const JacobianOperands<T>& pack);
  /// The chain of variances of a pack of images backwards.
  void (*chain)(const ReverseSteps& program, const ChainOperands<T>& pack);
};

/// Variances are always computed in double.
struct VarianceKernels {
  Index lanes;
  void (*run)(const LaneSteps& program, const VarianceOperands& pack);
};

template <class T>
const Kernels<T>& kernels();
template <>
const Kernels<float>& kernels<float>();
template <>
const Kernels<double>& kernels<double>();
const VarianceKernels& variance_kernels();

/// Name of the instruction set in use. The environment variable GRAMTILE_TARGET, read at the first
/// call of any function here, forces one; Error(kUsage) when the binary or the processor lacks it.
std::string_view target_name();

/// Every instruction set that this binary holds and this processor has, best first.
std::vector<std::string_view> target_names();

}  // namespace gramtile::simd
