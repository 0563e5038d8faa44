// ∂L/∂K as Python gives it: a matrix, two factors, or a function that makes a tile.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <vector>

#include "apps/python/binding/arrays.hpp"
#include "engine/core/ports.hpp"

namespace gramtile::python {

/// ∂L/∂K = U·Vᵀ of matrices of the caller, U [N, r] and V [M, r]; made tile by tile, with the bits
/// of `kernel-grad --upstream-factors`.
/// Throws Error(kUsage) for unequal ranks, DataError naming the first entry that is not finite.
std::unique_ptr<MatrixSource> factor_upstream(const MatrixView& u, const MatrixView& v);

/// ∂L/∂K [num_rows, num_columns] of a function(rows, columns) of two slices, which gives an array
/// of that part. It is called from one thread at a time, which takes the interpreter's lock;
/// what it raises ends the pass and reaches the caller. Keeps a reference to `function`.
std::unique_ptr<MatrixSource> function_upstream(nanobind::object function, Index num_rows,
                                                Index num_columns);

}  // namespace gramtile::python
