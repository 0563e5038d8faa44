// Random numbers from a seed alone: the same on every machine (no std:: distributions).
#pragma once

#include <cstdint>
#include <optional>

#include "engine/core/index.hpp"

namespace gramtile::test {

/// Numbers from a seed: splitmix64.
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t bits();
  double uniform();                         ///< [0, 1)
  double uniform(double low, double high);  ///< [low, high)
  Index integer(Index low, Index high);     ///< low … high, both included
  bool chance(double probability);
  double normal();  ///< mean 0, variance 1 (Marsaglia's polar method)

 private:
  std::uint64_t state_;
  std::optional<double> spare_;  // normals come in pairs
};

}  // namespace gramtile::test
