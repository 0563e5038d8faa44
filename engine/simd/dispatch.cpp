// The choice of the instruction set, once per process.
#include <algorithm>
#include <cstdlib>
#include <string>

#include "engine/simd/targets.hpp"
// targets.hpp says what Highway shall look for.
#include "engine/core/errors.hpp"
#include "engine/simd/kernel_table.hpp"
#include "hwy/targets.h"

#if HWY_TARGETS & HWY_AVX3
GRAMTILE_DECLARE_KERNELS(N_AVX3)
#endif
#if HWY_TARGETS & HWY_AVX2
GRAMTILE_DECLARE_KERNELS(N_AVX2)
#endif
#if HWY_TARGETS & HWY_NEON
GRAMTILE_DECLARE_KERNELS(N_NEON)
#endif
#if HWY_TARGETS & HWY_EMU128
GRAMTILE_DECLARE_KERNELS(N_EMU128)
#endif
#if HWY_TARGETS & HWY_SCALAR
GRAMTILE_DECLARE_KERNELS(N_SCALAR)
#endif

namespace gramtile::simd {
namespace {

/// Instruction sets of this binary that the processor has, a bit each; the lowest bit is the best.
std::int64_t available_targets() {
  static const std::int64_t targets = hwy::SupportedTargets() & HWY_TARGETS;
  return targets;
}

std::string joined(const std::vector<std::string_view>& names) {
  std::string list;
  for (std::string_view name : names) list += (list.empty() ? "" : ", ") + std::string(name);
  return list;
}

/// Honours GRAMTILE_TARGET, then returns what is left to choose from.
std::int64_t choose() {
  const char* forced = std::getenv("GRAMTILE_TARGET");
  const std::int64_t available = available_targets();
  if (forced == nullptr || *forced == '\0') return available;
  for (std::int64_t rest = available; rest != 0; rest &= rest - 1) {
    const std::int64_t target = rest & -rest;
    if (std::string_view(hwy::TargetName(target)) == forced) return target;
  }
  throw Error(ErrorKind::kUsage,
              "GRAMTILE_TARGET=" + std::string(forced) +
                  ": not an instruction set of this binary and processor; use one of " +
                  joined(target_names()));
}

KernelTable table_of(std::int64_t target) {
#define GRAMTILE_TABLE(set) \
  KernelTable { set::kernels_of(float()), set::kernels_of(double()), set::variance_kernels() }
#if HWY_TARGETS & HWY_AVX3
  if (target == HWY_AVX3) return GRAMTILE_TABLE(N_AVX3);
#endif
#if HWY_TARGETS & HWY_AVX2
  if (target == HWY_AVX2) return GRAMTILE_TABLE(N_AVX2);
#endif
#if HWY_TARGETS & HWY_NEON
  if (target == HWY_NEON) return GRAMTILE_TABLE(N_NEON);
#endif
#if HWY_TARGETS & HWY_EMU128
  if (target == HWY_EMU128) return GRAMTILE_TABLE(N_EMU128);
#endif
#if HWY_TARGETS & HWY_SCALAR
  if (target == HWY_SCALAR) return GRAMTILE_TABLE(N_SCALAR);
#endif
#undef GRAMTILE_TABLE
  throw Error(ErrorKind::kUsage,
              "no kernels for the instruction set " + std::string(hwy::TargetName(target)));
}

struct Choice {
  std::string_view name;
  KernelTable table;
};

const Choice& choice() {
  static const Choice chosen = [] {
    const std::int64_t targets = choose(), best = targets & -targets;
    return Choice{hwy::TargetName(best), table_of(best)};
  }();
  return chosen;
}

}  // namespace

template <>
const Kernels<float>& kernels<float>() {
  return choice().table.float32;
}
template <>
const Kernels<double>& kernels<double>() {
  return choice().table.float64;
}
const VarianceKernels& variance_kernels() { return choice().table.variances; }

std::string_view target_name() { return choice().name; }

std::vector<std::string_view> target_names() {
  std::vector<std::string_view> names;
  for (std::int64_t rest = available_targets(); rest != 0; rest &= rest - 1) {
    names.push_back(hwy::TargetName(rest & -rest));
  }
  return names;
}

}  // namespace gramtile::simd
