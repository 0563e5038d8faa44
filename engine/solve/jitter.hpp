// The smallest jitter that makes K + jitter·I positive definite, of those that people name.
#pragma once

#include <functional>

namespace gramtile {

/// jitter = 10^exponent · mean diagonal.
struct SmallestJitter {
  int exponent = 0;
  double value = 0;
};

/// Below 10⁻¹⁶ of the diagonal adding changes nothing.
inline constexpr int kLeastJitterExponent = -16;

/// The exponent e ≥ −16 so that 10^e·mean_diagonal works and 10^(e−1)·mean_diagonal does not (or is
/// below that), found by bisection: at most five attempts for e ≤ 0. `works` says whether K +
/// jitter·I has a factor. Requires mean_diagonal > 0. Throws Error(kOther) when 10³⁰⁰ does not do.
SmallestJitter smallest_jitter(double mean_diagonal, const std::function<bool(double)>& works);

}  // namespace gramtile
