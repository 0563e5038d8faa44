// The seam between the engine and its activations. A layer φ(u) of a network of infinite width is a
// function of a pair: for (u, v) normal with variances xx, yy and covariance xy,
//
//   F(xy, xx, yy) = E[φ(u)·φ(v)],   xx → F(xx, xx, xx)
//
// (docs/mathematics.md, §3). The concept below is all that anybody may ask of one; the compiler
// asks every activation for all of it. Its form on lanes stands beside it, in <name>-inl.hpp.
//
// Every F rises with xy and, since its expansion in powers of the correlation has no negative term,
// keeps the sign: xy ≥ 0 gives F ≥ 0.
#pragma once

#include <concepts>
#include <string_view>

#include "engine/activations/activation_kind.hpp"

namespace gramtile {

/// Covariance and variances of one pixel of a pair; or of each a change.
struct PixelPair {
  double xy = 0, xx = 0, yy = 0;
};

/// F at one pixel, and its derivatives.
struct PairValue {
  double value = 0;
  double by_xy = 0, by_xx = 0, by_yy = 0;
};

/// The two numbers that a block of images keeps for every pixel in front of the activation, in the
/// form for a pack of images, and in that for the row image.
struct StoredNumbers {
  double pack[2] = {}, row[2] = {};
};

template <class Function>
concept PairFunction = requires(const Function& f, const PixelPair& p, double number) {
  /// Name in network files.
  { Function::kName } -> std::convertible_to<std::string_view>;
  /// F(a·xy, a·xx, a·yy) = a·F(xy, xx, yy) for a > 0: powers of two in front of it go through, and
  /// relative errors of xy are passed on undiminished at the worst. Where it is not, errors can
  /// grow, and its input is stored as it is.
  { Function::kHomogeneous } -> std::convertible_to<bool>;
  /// The loops of window sums apply it themselves, and its derivatives follow from its neighbours'
  /// (engine/lanes); otherwise it makes a map of its own.
  { Function::kFused } -> std::convertible_to<bool>;
  /// Relus in a row that it counts for where accuracy is promised, and roundings that it adds to
  /// xy, relative to √(xx·yy) (engine/lanes/lane_program.cpp).
  { Function::kDepth } -> std::convertible_to<double>;
  { Function::kRoundings } -> std::convertible_to<double>;
  /// φ ≥ 0, so that F ≥ 0 whatever the sign of xy.
  { f.never_negative() } -> std::same_as<bool>;
  { f.code() } -> std::same_as<ActivationCode>;
  /// Requires xx, yy ≥ 0 and finite numbers; |xy| > √(xx·yy), by rounding, counts as equal.
  { f.at(p) } -> std::same_as<PairValue>;
  /// F(xx, xx, xx), and its derivative.
  { f.diagonal(number) } -> std::same_as<double>;
  { f.diagonal_slope(number) } -> std::same_as<double>;
  /// g with |∂F/∂xy| ≤ √(g(xx)·g(yy)), whatever xy.
  { f.steepest_slope(number) } -> std::same_as<double>;
  { f.stored(number) } -> std::same_as<StoredNumbers>;
  /// How far Σ ∂F/∂z · tangent_z moves at most, to first order or better, when xy is off by
  /// `number` times √(xx·yy); where that is 0, and the derivatives a convention, by as much as then
  /// counts. Where the three terms can cancel, with as much of each.
  { f.movement(p, p, number) } -> std::same_as<double>;
};

}  // namespace gramtile
