#include "tests/support/random.hpp"

#include <cmath>
#include <utility>

namespace gramtile::test {

std::uint64_t Random::bits() {
  state_ += 0x9E3779B97F4A7C15U;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30U)) * 0xBF58476D1CE4E5B9U;
  z = (z ^ (z >> 27U)) * 0x94D049BB133111EBU;
  return z ^ (z >> 31U);
}

double Random::uniform() { return static_cast<double>(bits() >> 11U) * 0x1p-53; }

double Random::uniform(double low, double high) { return low + (high - low) * uniform(); }

Index Random::integer(Index low, Index high) {
  return low + static_cast<Index>(bits() % static_cast<std::uint64_t>(high - low + 1));
}

bool Random::chance(double probability) { return uniform() < probability; }

double Random::normal() {
  if (spare_) {
    return *std::exchange(spare_, std::nullopt);
  }
  double u, v, square;
  do {
    u = uniform(-1, 1);
    v = uniform(-1, 1);
    square = u * u + v * v;
  } while (square >= 1 || square == 0);
  const double factor = std::sqrt(-2 * std::log(square) / square);
  spare_ = v * factor;
  return u * factor;
}

}  // namespace gramtile::test
