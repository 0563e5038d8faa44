// The kernels of one instruction set and one type: what each source in targets/ consists of. Such a
// source includes targets.hpp, sets HWY_TARGET, includes this, and says
//
//   GRAMTILE_DEFINE_KERNELS(float)
//
// Nothing here but Highway, the lanes and plain data: a shared inline function compiled for a newer
// processor could be picked by the linker for the whole program.
#pragma once

// Highway first: its namespace depends on HWY_TARGET.
// clang-format off
#include "hwy/highway.h"

#include "engine/lanes/forward-inl.hpp"
#include "engine/lanes/backward-inl.hpp"
#include "engine/lanes/chain-inl.hpp"
#include "engine/lanes/variances-inl.hpp"
#include "engine/simd/kernel_table.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace gramtile {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

template <class T>
void Forward(const LaneSteps& program, const PackOperands<T>& pack) {
  RunForward(hn::ScalableTag<T>(), program, pack);
}
template <class T>
void Gradient(const ReverseSteps& program, const GradientOperands<T>& pack) {
  RunGradient(hn::ScalableTag<T>(), program, pack);
}
template <class T>
void Jacobian(const ReverseSteps& program, const JacobianOperands<T>& pack) {
  RunJacobian(hn::ScalableTag<T>(), program, pack);
}
template <class T>
void Chain(const ReverseSteps& program, const ChainOperands<T>& pack) {
  RunChain(hn::ScalableTag<T>(), program, pack);
}

template <class T>
Index NumLanes() {
  return static_cast<Index>(hn::Lanes(hn::ScalableTag<T>()));
}

}  // namespace
}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();

#define GRAMTILE_DEFINE_KERNELS(T)                                              \
  HWY_BEFORE_NAMESPACE();                                                       \
  namespace gramtile::HWY_NAMESPACE {                                           \
  simd::Kernels<T> kernels_of(T) {                                              \
    return {NumLanes<T>(), &Forward<T>, &Gradient<T>, &Jacobian<T>, &Chain<T>}; \
  }                                                                             \
  }                                                                             \
  HWY_AFTER_NAMESPACE();                                                        \
  static_assert(true)

#define GRAMTILE_DEFINE_VARIANCE_KERNELS()                                              \
  HWY_BEFORE_NAMESPACE();                                                               \
  namespace gramtile::HWY_NAMESPACE {                                                   \
  namespace {                                                                           \
  void Variances(const LaneSteps& program, const VarianceOperands& pack) {              \
    RunVariances(hwy::HWY_NAMESPACE::ScalableTag<double>(), program, pack);             \
  }                                                                                     \
  }                                                                                     \
  simd::VarianceKernels variance_kernels() { return {NumLanes<double>(), &Variances}; } \
  }                                                                                     \
  HWY_AFTER_NAMESPACE();                                                                \
  static_assert(true)
