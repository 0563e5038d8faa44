// From the command line to a job.
#pragma once

#include <functional>
#include <string>

#include "apps/common/options.hpp"
#include "io/job/job_request.hpp"

namespace gramtile::apps {

/// What the options of every command that computes say; sets, matrices and derivative are left to
/// the command. `command` is what the file keeps, see stored_command(). Throws what load_network
/// throws.
JobRequest job_request(const ComputeArguments& arguments, std::string command);

/// A line on stderr, but for --quiet: JobRequest::notice, RunOptions::notice.
std::function<void(const std::string&)> notice(bool quiet);

}  // namespace gramtile::apps
