// How far the lane engine's derivatives of one pair may be from the reference's: a bound that is
// carried backwards through the network operation by operation, not tuned.
#pragma once

#include <span>
#include <vector>

#include "engine/core/index.hpp"
#include "engine/network/program.hpp"

namespace gramtile::test {

/// Errors that engine/activations/relu_polynomials.hpp promises for a relu's two derivatives, for
/// the instruction set in use; where its square root is approximate (relu-inl.hpp), that included.
struct ReluDerivativeFit {
  double angle;              ///< of acos|c|/π, relative to itself, any c
  double nonnegative_angle;  ///< the fit for c ≥ 0, relative to 1 − acos(c)/π: at c = 1, and
  double growth;  ///< 1 + growth · (1 − c)³ times as large elsewhere; without its root
  double sine;    ///< of √(1 − c²), relative to itself

  double nonnegative_angle_at(double c) const;
};
ReluDerivativeFit relu_derivative_fit(DataType type);

/// How the errors of a relu's cosine reach its two derivatives (docs/mathematics.md, §7).
enum class AngleErrors {
  kIndependent,  ///< slope and bend each off by the whole error of the angle: holds for any pair
  kCancelling,   ///< equal images: to first order the two errors cancel in every derivative
};

/// Sizes of the derivatives of a pair function at a pixel, and how far the lanes' are off.
struct Slopes {
  PairValue size, error;
};

/// Bounds for an input whose xy is off by `epsilon`, relative to √(xx·yy), and variances by as much
/// of themselves.
class SlopeBounds {
 public:
  SlopeBounds(DataType type, double epsilon, AngleErrors angles);

  Slopes of(const Relu& relu, const PixelPair& p) const;
  Slopes of(const LeakyRelu& leaky, const PixelPair& p) const;
  Slopes of(const Erf& erf, const PixelPair& p) const;

  /// Of the diagonal's slope, relative to itself.
  double diagonal_error(const Relu&) const { return 0; }
  double diagonal_error(const LeakyRelu&) const { return 4 * u_; }
  double diagonal_error(const Erf&) const { return 12 * u_ + 4 * epsilon_; }

  /// Of acos(c)/π, absolute; either fit may be in use.
  double angle_fit(double cosine) const;

 private:
  double angle_error(double cosine) const;

  double u_, epsilon_;
  ReluDerivativeFit fit_;
  AngleErrors angles_;
};

struct DerivativeBound {
  std::vector<double> error;  ///< [P] of |∂K/∂θ of the lanes − ∂K/∂θ of the reference|
  std::vector<double> magnitude;  ///< [P] of the terms of ∂K/∂θ, each taken absolutely
};

/// Roundings of both engines included. Like kernel_bound() it holds for images without a pixel
/// whose variance is positive but smaller than the lanes keep. `diagonal`: K(x, x) as a variance.
DerivativeBound derivative_bound(const Program& program, std::span<const double> x,
                                 std::span<const double> y, DataType type, bool diagonal = false,
                                 AngleErrors angles = AngleErrors::kIndependent);

/// Roundings that a gradient adds to those of its pairs, as a factor of unit_rounding(type) and of
/// Σ |upstream| · magnitude: ∂L/∂K rounded to the type and added to its mirror image (3), sums over
/// at most 64 lanes and 64 rows in that type, the final sums in double (1).
inline constexpr double kGradientRoundings = 3 + 64 + 64 + 1;

}  // namespace gramtile::test
