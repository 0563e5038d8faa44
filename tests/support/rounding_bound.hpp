// How far the lane engine may be from the reference: a bound derived operation by operation, not
// tuned.
#pragma once

#include <span>

#include "engine/core/index.hpp"
#include "engine/network/program.hpp"
#include "engine/reference/forward.hpp"

namespace gramtile::test {

/// Error of κ(c) that comments in engine/activations promise for the instruction set in use,
/// relative to κ(c): the fit (relu_polynomials.hpp) and, where it is approximate, the square root
/// (relu-inl.hpp). Roundings come on top. `nonnegative`: of the fit for c ≥ 0 only.
double relu_fit_error(DataType type, bool nonnegative);

/// Unit rounding of the type: 2⁻²⁴ or 2⁻⁵³.
double unit_rounding(DataType type);

/// Smallest normal number of the type: 2⁻¹²⁶ or 2⁻¹⁰²². Below it a type has fewer digits.
double smallest_normal(DataType type);

/// Bound of |K_lanes(x, y) − K_reference(x, y)| / √(K(x, x)·K(y, y)), roundings of both included.
/// Holds for images without a pixel whose variance is positive but below the smallest that the
/// lanes keep (1e-36 in float32, 1e-300 in float64).
/// For any images; only of networks whose activations are homogeneous.
double kernel_bound(const Program& program, DataType type);
/// For one pair, of any network.
double kernel_bound(const Program& program, DataType type, std::span<const double> x,
                    std::span<const double> y);

/// The largest of these bounds of all values on the way to K(x, y).
double largest_covariance_error(const Program& program, DataType type, const reference::Tape& tape);

}  // namespace gramtile::test
