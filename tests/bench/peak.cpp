// Compiled once per instruction set; see engine/simd/kernels-inl.hpp for what that forbids.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "tests/bench/peak.cpp"
#define HWY_COMPILE_ALL_ATTAINABLE
#define HWY_DISABLED_TARGETS HWY_AVX3_DL  // as wide as AVX3, whose name the engine goes by
// clang-format off
#include "hwy/foreach_target.h"
#include "hwy/highway.h"

#include "tests/bench/peak.hpp"
// clang-format on

HWY_BEFORE_NAMESPACE();
namespace gramtile::bench {
namespace HWY_NAMESPACE {
namespace {
namespace hn = hwy::HWY_NAMESPACE;

// sums[i] ← sums[i] · a + b, with a < 1 so that nothing overflows or becomes denormal.
template <class D>
hn::TFromD<D> RunPeak(D d, Index passes) {
  using T = hn::TFromD<D>;
  using V = hn::Vec<D>;
  const V a = hn::Set(d, T(0.999)), b = hn::Set(d, T(0.001));
  // Chains that began alike would be one chain to the compiler.
  const auto start = [&](int chain)
                         HWY_ATTR { return hn::Set(d, T(0.01) * static_cast<T>(chain)); };
  V s0 = start(0), s1 = start(1), s2 = start(2), s3 = start(3), s4 = start(4), s5 = start(5);
  V s6 = start(6), s7 = start(7), s8 = start(8), s9 = start(9), s10 = start(10), s11 = start(11);
  for (Index i = 0; i < passes; ++i) {
    s0 = hn::MulAdd(s0, a, b), s1 = hn::MulAdd(s1, a, b), s2 = hn::MulAdd(s2, a, b);
    s3 = hn::MulAdd(s3, a, b), s4 = hn::MulAdd(s4, a, b), s5 = hn::MulAdd(s5, a, b);
    s6 = hn::MulAdd(s6, a, b), s7 = hn::MulAdd(s7, a, b), s8 = hn::MulAdd(s8, a, b);
    s9 = hn::MulAdd(s9, a, b), s10 = hn::MulAdd(s10, a, b), s11 = hn::MulAdd(s11, a, b);
  }
  const V left = hn::Add(hn::Add(hn::Add(s0, s1), hn::Add(s2, s3)), hn::Add(s4, s5));
  const V right = hn::Add(hn::Add(hn::Add(s6, s7), hn::Add(s8, s9)), hn::Add(s10, s11));
  return hn::GetLane(hn::SumOfLanes(d, hn::Add(left, right)));
}

float PeakFloat(Index passes) { return RunPeak(hn::ScalableTag<float>(), passes); }
double PeakDouble(Index passes) { return RunPeak(hn::ScalableTag<double>(), passes); }

}  // namespace

PeakKernel Table() {
  return {.target = hwy::TargetName(HWY_TARGET),
          .float_lanes = static_cast<Index>(hn::Lanes(hn::ScalableTag<float>())),
          .double_lanes = static_cast<Index>(hn::Lanes(hn::ScalableTag<double>())),
          .run_float = &PeakFloat,
          .run_double = &PeakDouble};
}

}  // namespace HWY_NAMESPACE
}  // namespace gramtile::bench
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
#include <stdexcept>
#include <string>

namespace gramtile::bench {

HWY_EXPORT(Table);

namespace {

/// The kernel of the first of `targets`, without disturbing what the engine chooses: it keeps the
/// pointers of its own choice.
PeakKernel kernel_among(std::int64_t targets) {
  hwy::SetSupportedTargetsForTest(targets);
  hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  const PeakKernel kernel = HWY_DYNAMIC_DISPATCH(Table)();
  hwy::SetSupportedTargetsForTest(0);
  return kernel;
}

std::int64_t available_targets() {
  hwy::SetSupportedTargetsForTest(0);  // forget what was forced: ask the processor
  return hwy::SupportedTargets() & HWY_TARGETS;
}

}  // namespace

double PeakKernel::operations_per_pass(DataType type) const {
  const Index lanes = type == DataType::kFloat32 ? float_lanes : double_lanes;
  return 2.0 * kPeakChains * static_cast<double>(lanes);
}

void PeakKernel::run(DataType type, Index passes) const {
  // Calls through pointers: nothing lets the compiler leave out what it cannot see.
  if (type == DataType::kFloat32) {
    run_float(passes);
  } else {
    run_double(passes);
  }
}

PeakKernel best_peak() { return kernel_among(available_targets()); }

PeakKernel peak_of(std::string_view target) {
  for (std::int64_t rest = available_targets(); rest != 0; rest &= rest - 1) {
    const std::int64_t candidate = rest & -rest;
    if (hwy::TargetName(candidate) == target) return kernel_among(candidate);
  }
  throw std::runtime_error("no peak kernel for " + std::string(target));
}

}  // namespace gramtile::bench
#endif
