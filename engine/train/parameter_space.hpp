// The numbers that training moves: logarithms of the variances that are not 0, logits as they are,
// and the logarithm of the noise.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/network/program.hpp"

namespace gramtile {

/// Variances and noise stay within these: beyond, kernels overflow or lose every digit.
inline constexpr double kLeastVariance = 1e-12, kMostVariance = 1e12;

class ParameterSpace {
 public:
  /// Of the program's parameters as they are. A variance of 0 stays 0: there is no logarithm.
  /// Throws Error(kUsage) where there is nothing to train, and for a variance or a noise beyond the
  /// bounds.
  ParameterSpace(const Program& program, double noise, bool noise_is_fixed);

  Index size() const { return static_cast<Index>(coordinates_.size()); }
  /// Where training begins.
  std::vector<double> start() const;
  /// "log conv0.var_weight", "mixture0.logit1", "log noise".
  std::string name(Index i) const;

  /// Values of Program::parameters at `point`.
  std::vector<double> values(std::span<const double> point) const;
  double noise(std::span<const double> point) const;
  /// First coordinate that is beyond its bounds, or −1.
  Index out_of_bounds(std::span<const double> point) const;

  /// The gradient by the coordinates: `gradient` by Program::parameters, `by_log_noise` by log λ.
  std::vector<double> to_coordinates(std::span<const double> point,
                                     std::span<const double> gradient, double by_log_noise) const;

 private:
  struct Coordinate {
    Index parameter = kNoParameter;  ///< of the program; none: the noise
    bool is_log = true;
  };

  std::vector<Parameter> parameters_;
  std::vector<Coordinate> coordinates_;
  double noise_;
};

}  // namespace gramtile
