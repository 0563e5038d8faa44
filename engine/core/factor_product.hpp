// Parts of U·Vᵀ, which is never made as a whole.
#pragma once

#include <span>

#include "engine/core/index.hpp"

namespace gramtile {

/// values[i, j] = Σ_r u[i, r]·v[j, r] for num_rows rows of `u` and num_columns of `v`, all
/// row-major. Each entry is one sum in the order of r, so its bits depend on no tiling.
void multiply_factors(std::span<const double> u, std::span<const double> v, Index num_rows,
                      Index num_columns, std::span<double> values);

}  // namespace gramtile
