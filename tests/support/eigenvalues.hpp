// Eigenvalues of small symmetric matrices.
#pragma once

#include <vector>

#include "engine/core/index.hpp"

namespace gramtile::test {

/// Smallest eigenvalue of a symmetric matrix [n, n] by Jacobi's rotations; off by at most a few
/// n·2⁻⁵³ times the matrix's norm. NaN when an entry is not
/// finite.
double smallest_eigenvalue(std::vector<double> matrix, Index n);

}  // namespace gramtile::test
