// Bounds of derivatives for whole matrices, from those of their pairs (derivative_bound.hpp).
#pragma once

#include <vector>

#include "tests/support/derivative_bound.hpp"
#include "tests/support/gradient_runs.hpp"

namespace gramtile::test {

/// The largest kernel_bound() of rows against columns.
double kernel_bound(const Program& program, DataType type, const Images& rows,
                    const Images& columns);

/// derivative_bound() of every entry, [P, N, M]; on the diagonal of a symmetric matrix that of the
/// variance.
DerivativeBound matrix_bound(const Program& program, const MatrixImages& images, DataType type);

/// Bounds of a gradient's entries, [P]: Σ |upstream| · bound, and the gradient's own roundings.
std::vector<double> gradient_bounds(const std::vector<double>& upstream,
                                    const DerivativeBound& bound, DataType type);

}  // namespace gramtile::test
