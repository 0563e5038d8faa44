// Carries a job out: writes its tiles to the output with progress, and ends well when interrupted.
#pragma once

#include <functional>
#include <string>

#include "apps/common/job.hpp"
#include "apps/common/options.hpp"

namespace gramtile::apps {

/// Computes and writes every tile that is still to do. Prints a line about the result, or, when
/// interrupted, the command that continues (`resume_command`). Returns the exit code. An error
/// leaves what was finished where --resume finds it.
int execute(const Job& job, const ComputeArguments& arguments, const std::string& resume_command);

/// RunOptions::notice: a line on stderr, but for --quiet.
std::function<void(const std::string&)> notice(const ComputeArguments& arguments);

/// "Kxx 40×40, Kt_diag 6": the matrices of a run, for people.
std::string describe_matrices(const TilePlan& plan);

/// Pairs of the tiles [start, stop).
Index num_pairs(const TilePlan& plan, Range tiles);

}  // namespace gramtile::apps
