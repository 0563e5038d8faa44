// Reverse mode over the operations of a program, for one pair.
#pragma once

#include <vector>

#include "engine/network/program.hpp"
#include "engine/reference/forward.hpp"

namespace gramtile::reference {

/// Which map of the output is the kernel entry: `xy` off the diagonal, `xx` on it.
using OutputMap = Map PairMaps::*;

/// ∂(output)/∂θ for every parameter, [P], from the tape of run_forward.
std::vector<double> run_backward(const Program& program, const Tape& tape, OutputMap output);
/// The same, and leaves ∂(output)/∂(value) of every value in `adjoints`.
std::vector<double> run_backward(const Program& program, const Tape& tape, OutputMap output,
                                 Tape& adjoints);

}  // namespace gramtile::reference
