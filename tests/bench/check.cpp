#include "tests/bench/check.hpp"

#include <fmt/format.h>

#include <cmath>
#include <stdexcept>

namespace gramtile::bench {

std::span<const double> image(const Program& program, std::span<const double> pixels,
                              Index example) {
  const auto size = static_cast<std::size_t>(program.input.num_values());
  return pixels.subspan(static_cast<std::size_t>(example) * size, size);
}

void check_close(const std::string& what, double found, double expected, double scale,
                 double bound) {
  const double error = std::abs(found - expected);
  if (error <= bound * std::abs(scale)) return;  // false for NaN
  throw std::runtime_error(
      fmt::format("{}: {:.9g}, the reference has {:.9g}: an error of {:.2g} "
                  "relative to {:.3g}, beyond {:.2g}",
                  what, found, expected, error / std::abs(scale), scale, bound));
}

}  // namespace gramtile::bench
