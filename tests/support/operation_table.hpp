// What test support knows of each operation and each activation, in one table; the rest of tests/
// asks here. A new one gets its rows, and the compiler names those that it lacks: how often random
// networks have it (random_network), φ for networks of finite width (finite_network), its errors in
// K (rounding_bound) and in derivatives (derivative_bound), its work (bench).
#pragma once

#include <concepts>
#include <variant>

#include "engine/activations/activation.hpp"
#include "engine/core/index.hpp"
#include "engine/network/program.hpp"
#include "engine/reference/maps.hpp"
#include "tests/support/random.hpp"

namespace gramtile::test {

// --- operations ---------------------------------------------------------------------------------

/// Terms that are added up for a pixel of the output.
inline Index num_terms(const Conv2dOp& op) { return op.geometry.num_taps(); }
inline Index num_terms(const ActivationOp&) { return 0; }
inline Index num_terms(const SumOp& op) { return static_cast<Index>(op.inputs.size()); }
template <std::same_as<Op> AnyOp>  // not what is made an Op for want of a row
Index num_terms(const AnyOp& op) {
  return std::visit([](const auto& any) { return num_terms(any); }, op);
}

// --- activations --------------------------------------------------------------------------------

/// A relu, more often than not; or a leaky relu, also with slopes of 0, ±1 and 2; or an erf.
Activation random_activation(Random& random);

/// φ(u).
double activated(const Relu&, double u);
double activated(const LeakyRelu& leaky, double u);
double activated(const Erf&, double u);

/// Operations of a pixel of a pair that are of use. Of erf's, double: two products for ab and s, 11
/// for w, 18 of the polynomial and 4.
inline double useful_operations(const Relu&, bool nonnegative) { return nonnegative ? 14 : 18; }
inline double useful_operations(const LeakyRelu&, bool) { return 18 + 2; }
inline double useful_operations(const Erf&, bool) { return 3 + 11 + 18 + 4; }

/// Errors of one value: of xy relative to √(xx·yy), and of xx (and yy) relative to itself.
struct Errors {
  double covariance = 0;
  double variance = 0;
};

/// How an engine computes.
struct Arithmetic {
  double covariance_rounding;
  double variance_rounding;
  bool separable;   ///< window sums along x, then along y
  double relu_fit;  ///< relu_fit_error()
};

/// Errors behind an activation, its own included. `maps`: its input, asked for only by those that
/// are not homogeneous.
Errors errors_behind(const Relu&, const Errors& in, const Arithmetic& arithmetic,
                     const reference::PairMaps* maps);
Errors errors_behind(const LeakyRelu&, const Errors& in, const Arithmetic& arithmetic,
                     const reference::PairMaps* maps);
Errors errors_behind(const Erf& erf, const Errors& in, const Arithmetic& arithmetic,
                     const reference::PairMaps* maps);

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

}  // namespace gramtile::test
