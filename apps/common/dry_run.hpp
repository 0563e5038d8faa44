// --dry-run: what a run would do and cost, from the plan and a calibration of about a second.
#pragma once

#include "io/job/job.hpp"

namespace gramtile::apps {

/// Prints the plan of `job` to stdout; writes nothing to disk. Throws what the run would throw for
/// impossible arguments (memory that does not hold a tile).
void print_plan(const Job& job);

/// Pairs per second on a small corner of the job's own matrices, about a second's worth of work.
double measure_rate(const Job& job);

}  // namespace gramtile::apps
