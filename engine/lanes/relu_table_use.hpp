// Whether a network's roundings leave room for the relu's table (relu_table.hpp).
#pragma once

#include "engine/network/program.hpp"

namespace gramtile {

/// No covariance exceeds the product of its variances' roots by so much, by rounding, that it would
/// lie outside the table of the relu. Sums of what is not negative and the relu (homogeneous, and
/// rising in xy and r) pass relative errors on undiminished at the worst, so roundings add up: per
/// operation the additions of a window on both axes, or of branches, and 16 for the rest. An
/// activation that is not homogeneous can make errors larger: behind it nothing is known.
bool stays_in_relu_table(const Program& program);

}  // namespace gramtile
