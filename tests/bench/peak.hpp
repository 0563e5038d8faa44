// The machine's fused-multiply-add peak: what every rate of the benchmarks is divided by, measured
// beside it. Independent of the engine: accumulators in registers, nothing is loaded or stored.
#pragma once

#include <string_view>

#include "engine/core/index.hpp"

namespace gramtile::bench {

/// The peak kernel of one instruction set. A pass is `kPeakChains` fused multiply-adds in each of
/// `lanes` lanes, no one of which waits for another.
struct PeakKernel {
  const char* target = "";  ///< Highway's name
  Index float_lanes = 0, double_lanes = 0;
  float (*run_float)(Index passes) = nullptr;
  double (*run_double)(Index passes) = nullptr;

  /// Floating-point operations of one pass; a fused multiply-add counts as two.
  double operations_per_pass(DataType type) const;
  void run(DataType type, Index passes) const;
};

/// Two ports with a latency of 4 cycles keep 8 in flight; 5 cycles, 10.
constexpr int kPeakChains = 12;

/// Of the best instruction set that the processor has, whether or not the engine has lanes for it.
PeakKernel best_peak();

/// Of the instruction set `target` (Highway's name). Throws std::runtime_error when there is none.
PeakKernel peak_of(std::string_view target);

}  // namespace gramtile::bench
