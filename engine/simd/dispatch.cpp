// The choice of the instruction set, once per process.
#include <algorithm>
#include <cstdlib>
#include <string>

#include "engine/core/errors.hpp"
#include "engine/simd/kernel_table.hpp"
#include "engine/simd/kernels.hpp"
#include "engine/simd/targets.hpp"
#include "hwy/targets.h"

namespace gramtile::simd {
namespace {

/// Instruction sets of this binary that the processor has, a bit each; the lowest bit is the best.
/// Asked before the choice below narrows what Highway reports.
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

struct Choice {
  std::string_view name;
  KernelTable table;
};

const Choice& choice() {
  static const Choice chosen = [] {
    const std::int64_t targets = choose();
    hwy::SetSupportedTargetsForTest(targets);  // what HWY_DYNAMIC_DISPATCH chooses from
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    return Choice{hwy::TargetName(targets & -targets), chosen_table()};
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
