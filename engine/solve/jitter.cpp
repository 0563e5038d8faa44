#include "engine/solve/jitter.hpp"

#include <cmath>

#include "engine/core/errors.hpp"

namespace gramtile {

SmallestJitter smallest_jitter(double mean_diagonal, const std::function<bool(double)>& works) {
  const auto value_of = [&](int exponent) { return mean_diagonal * std::pow(10.0, exponent); };
  int fails = kLeastJitterExponent - 1, enough = 0;
  for (int step = 1; !works(value_of(enough)); step *= 2) {
    fails = enough;
    enough += step;
    if (enough > 300)
      throw Error(ErrorKind::kOther, "no jitter makes this kernel positive definite");
  }
  while (enough - fails > 1) {
    const int middle = fails + (enough - fails) / 2;
    (works(value_of(middle)) ? enough : fails) = middle;
  }
  return {enough, value_of(enough)};
}

}  // namespace gramtile
