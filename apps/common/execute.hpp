// Carries a job out with progress and signals, and ends well when interrupted.
#pragma once

#include <string>

#include "apps/common/options.hpp"
#include "io/job/job.hpp"

namespace gramtile::apps {

/// What a command does with its job: prints the plan where --dry-run asks for it; else reads the
/// inputs, computes and writes every tile that is still to do, and prints a line about the result,
/// or, when interrupted, the command that continues (`resume_command`). Returns the exit code. An
/// error leaves what was finished where --resume finds it.
int execute(JobRequest request, const ComputeArguments& arguments,
            const std::string& resume_command);

}  // namespace gramtile::apps
