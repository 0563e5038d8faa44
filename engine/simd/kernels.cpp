// Compiled once per instruction set by Highway's foreach_target. Nothing here but Highway, the
// lanes and plain data: a shared inline function compiled for a newer processor could be picked by
// the linker.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "engine/simd/kernels.cpp"
// The order matters: targets, then foreach_target, then what is included once per target.
// clang-format off
#include "engine/simd/targets.hpp"
#include "hwy/foreach_target.h"
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

void ForwardFloat(const LaneSteps& program, const PackOperands<float>& pack) {
  RunForward(hn::ScalableTag<float>(), program, pack);
}
void ForwardDouble(const LaneSteps& program, const PackOperands<double>& pack) {
  RunForward(hn::ScalableTag<double>(), program, pack);
}
void GradientFloat(const ReverseSteps& program, const GradientOperands<float>& pack) {
  RunGradient(hn::ScalableTag<float>(), program, pack);
}
void GradientDouble(const ReverseSteps& program, const GradientOperands<double>& pack) {
  RunGradient(hn::ScalableTag<double>(), program, pack);
}
void JacobianFloat(const ReverseSteps& program, const JacobianOperands<float>& pack) {
  RunJacobian(hn::ScalableTag<float>(), program, pack);
}
void JacobianDouble(const ReverseSteps& program, const JacobianOperands<double>& pack) {
  RunJacobian(hn::ScalableTag<double>(), program, pack);
}
void ChainFloat(const ReverseSteps& program, const ChainOperands<float>& pack) {
  RunChain(hn::ScalableTag<float>(), program, pack);
}
void ChainDouble(const ReverseSteps& program, const ChainOperands<double>& pack) {
  RunChain(hn::ScalableTag<double>(), program, pack);
}
void Variances(const LaneSteps& program, const VarianceOperands& pack) {
  RunVariances(hn::ScalableTag<double>(), program, pack);
}

}  // namespace

simd::KernelTable Table() {
  return {.float32 = {static_cast<Index>(hn::Lanes(hn::ScalableTag<float>())), &ForwardFloat,
                      &GradientFloat, &JacobianFloat, &ChainFloat},
          .float64 = {static_cast<Index>(hn::Lanes(hn::ScalableTag<double>())), &ForwardDouble,
                      &GradientDouble, &JacobianDouble, &ChainDouble},
          .variances = {static_cast<Index>(hn::Lanes(hn::ScalableTag<double>())), &Variances}};
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace gramtile {

HWY_EXPORT(Table);

namespace simd {

KernelTable chosen_table() { return HWY_DYNAMIC_DISPATCH(Table)(); }

}  // namespace simd
}  // namespace gramtile
#endif
