// Higham's estimate of a norm.
#pragma once

#include <functional>
#include <vector>

#include "engine/core/index.hpp"

namespace gramtile {

/// Of ‖A‖₁, A [size, size] symmetric and known by what it does to a vector: a lower bound, seldom
/// off by more than a factor of three, from at most 11 products. `apply` replaces x by A·x.
///
/// Algorithm 4.1 of Higham, FORTRAN codes for estimating the one-norm (1988), which is LAPACK's
/// dlacn2; its sums here are in order, while OpenBLAS's depend on where in memory a vector begins.
double estimate_norm(Index size, const std::function<void(std::vector<double>&)>& apply);

}  // namespace gramtile
