// Which tiles a job is cut into.
#pragma once

#include <vector>

#include "engine/core/tile.hpp"
#include "io/job/job_plan.hpp"
#include "io/job/memory_charges.hpp"

namespace gramtile {

/// The plan of `matrices` in tiles of the size asked for, or of the run to be continued, or of one
/// that suits. `plan` has program, options and derivative. Charges the lists of tiles that a run
/// keeps: those of a million images can take more than the images, so a size that is free gives
/// way; one that is not is refused, with what would do.
TilePlan plan_tiles_to_list(const JobRequest& request, const JobPlan& plan,
                            std::vector<MatrixSpec> matrices, MemoryCharges& charges);

}  // namespace gramtile
