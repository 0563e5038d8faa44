// Derivatives by parameter from the raw derivatives of a reverse program's steps.
#pragma once

#include <span>

#include "engine/lanes/reverse_program.hpp"

namespace gramtile {

/// Adds to `derivatives` [P] what the terms of `program` make of the raw derivatives
/// raw[(step · kNumRaw + kind) · stride]. `Raw`: float or double.
template <class Raw>
void add_derivatives(const ReverseProgram& program, const Raw* raw, Index stride,
                     std::span<double> derivatives);

}  // namespace gramtile
