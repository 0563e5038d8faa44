// The recursion over the operations of a program, for one pair.
#pragma once

#include <span>
#include <vector>

#include "engine/network/program.hpp"
#include "engine/reference/maps.hpp"

namespace gramtile::reference {

/// Every value of the program for one pair, by ValueId.
using Tape = std::vector<PairMaps>;

/// Runs the program. Throws Error(kUsage) when an image has not program.input's size.
Tape run_forward(const Program& program, std::span<const double> x, std::span<const double> y);

}  // namespace gramtile::reference
