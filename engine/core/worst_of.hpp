// Errors compared so that NaN is seen. std::max keeps or drops a NaN by its place among its
// arguments, and every comparison with one is false: a largest error found that way can hide it.
#pragma once

#include <cmath>
#include <ranges>

namespace gramtile {

/// The worse of two errors: NaN is worse than any number.
inline double worst_of(double a, double b) { return std::isnan(a) || a > b ? a : b; }

/// The worst of many errors; 0 of none.
template <std::ranges::input_range Errors>
double worst_of(const Errors& errors) {
  double worst = 0;
  for (const double error : errors) worst = worst_of(worst, error);
  return worst;
}

}  // namespace gramtile
