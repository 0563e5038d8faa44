// Lets a step make the source of the next one as it makes its own output, pixel by pixel, so that a
// map between two layers need not be stored and read again.
#pragma once

#include "engine/lanes/lane_program.hpp"

namespace gramtile {

/// Of every step: which of its work the step before does (LaneStep::sums_ready, applied_before),
/// who needs its output besides, and where its sums along x stand. `keep_values` as for
/// compile_lanes().
void fuse_layers(LaneProgram& program, bool keep_values);

}  // namespace gramtile
