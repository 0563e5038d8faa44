// How much K(x, x) owes to variances that the type of the pairs is too narrow for.
//
// Where xx of a pixel in front of an activation is below a threshold, the pair kernels take the
// pixel for black. Variances go from layer to layer by sums of windows with weights ≥ 0, so what
// such pixels contribute to K(x, x) is a number δ · K(x, x) of its own (behind an activation that
// is not homogeneous, a bound of it: PairFunction::steepest_slope); and by Cauchy and Schwarz, what
// they contribute to K(x, y) is at most √δ · √(K(x, x) K(y, y)).
#pragma once

#include <span>

#include "engine/lanes/lane_program.hpp"

namespace gramtile {

/// δ for one image [C, H, W], already multiplied with its power of two, and a threshold on
/// variances as they are stored. Plain loops: for the few images that have such pixels at all.
double lost_share(const LaneProgram& program, std::span<const double> image, double threshold);

}  // namespace gramtile
