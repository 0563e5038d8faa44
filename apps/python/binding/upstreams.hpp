// ∂L/∂K as Python gives it: a matrix, two factors, or a function that makes a tile.
#pragma once

#include <nanobind/nanobind.h>

#include <memory>
#include <vector>

#include "apps/python/binding/arrays.hpp"
#include "engine/core/ports.hpp"

namespace gramtile::python {

/// ∂L/∂K [num_rows, num_columns] of
///  * an array [num_rows, num_columns];
///  * a tuple of arrays U [num_rows, r] and V [num_columns, r]: U·Vᵀ, made tile by tile with the
///  bits
///    of `kernel-grad --upstream-factors`;
///  * a function(rows, columns) of two slices, which gives an array of that part. It is called from
///    one thread at a time, which takes the interpreter's lock; what it raises ends the pass and
///    reaches the caller.
/// Looks at arrays where they are; `arrays` keeps them. Throws Error(kUsage) for unequal ranks,
/// DataError naming the first entry that is not finite.
std::unique_ptr<MatrixSource> caller_upstream(const nanobind::object& given, Index num_rows,
                                              Index num_columns,
                                              std::vector<ReadOnlyArray>& arrays);

}  // namespace gramtile::python
