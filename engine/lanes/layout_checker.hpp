// An independent proof that the buffers of a lane program do not get in each other's way.
//
// The checker runs a program on memory that holds, in place of numbers, what each vector is: which
// step made it and which pixel of which map, or which sum along x of which row, it is. It goes
// through the loops in the order of the kernels (window-inl.hpp, next_rows-inl.hpp,
// transpose-inl.hpp), group of rows by group of rows, and asks of every read whether what it needs
// stands there and of every access whether it stays inside its buffer. Nothing of how places are
// chosen is used, and of the values that steps read and make only the program's own account
// (StepValues).
//
// Called by tests over whole families of networks, and for every program in builds with
// GRAMTILE_CHECK_LAYOUTS (preset `dev`).
#pragma once

#include "engine/lanes/lane_program.hpp"
#include "engine/lanes/reverse_program.hpp"

namespace gramtile {

/// Throws std::logic_error, naming the step and the vector, if a forward pass would read anything
/// but what it needs or leave a buffer.
void check_layout(const LaneProgram& program);

/// The same for a tape and its way back: gradients, with and without a turn and an end, jacobians,
/// and the chains of variances.
void check_layout(const LaneProgram& tape, const ReverseProgram& reverse);

}  // namespace gramtile
