#include "apps/common/execute.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <optional>
#include <utility>

#include "apps/common/describe.hpp"
#include "apps/common/dry_run.hpp"
#include "apps/common/machine.hpp"
#include "apps/common/progress.hpp"
#include "apps/common/signals.hpp"
#include "apps/common/streams.hpp"
#include "apps/common/units.hpp"

namespace gramtile::apps {
namespace {

std::string describe_shard(const std::optional<Shard>& shard) {
  return shard ? fmt::format("share {}/{} of ", shard->index, shard->count) : "";
}

std::string describe_result(const Job& job, const JobOutcome& outcome) {
  if (outcome.already_complete) return "is complete already";
  const double rate = static_cast<double>(outcome.computed_pairs) / std::max(outcome.seconds, 1e-9);
  return fmt::format("{}{} in {} ({} pairs/s)", describe_shard(job.request().shard),
                     describe_matrices(job.plan().spec.plan), format_seconds(outcome.seconds),
                     format_count(static_cast<Index>(rate)));
}

// Runs the job with its progress on stderr, which is gone when this returns or throws.
JobOutcome run_showing_progress(Job& job, bool quiet, std::stop_token stop) {
  std::optional<Progress> progress;  // knows the number of pairs from the first report on
  Index done_before = 0;
  return job.run(
      [&](const JobProgress& now) {
        if (!progress) {
          progress.emplace(progress_style(quiet), now.total_pairs, now.done_pairs);
        } else {
          progress->advance(now.done_pairs - done_before);
        }
        done_before = now.done_pairs;
      },
      std::move(stop));
}

}  // namespace

int execute(JobRequest request, const ComputeArguments& arguments,
            const std::string& resume_command) {
  Job job(std::move(request));
  if (arguments.dry_run) {
    print_plan(job);
    return 0;
  }
  if (!arguments.quiet) print_sets(job.plan().inputs);
  job.read_inputs();          // before signals are held back: it ends at once when one comes
  const StopSignals signals;  // before the writer's and the engine's threads
  check_threads(job.plan().options.num_threads + 1);
  const JobOutcome outcome = run_showing_progress(job, arguments.quiet, signals.token());
  const std::string& out = job.request().out;
  if (!outcome.complete) {
    print(stderr, fmt::format("{}: interrupted with {} of {} tiles done; continue with: {}\n", out,
                              outcome.num_done, outcome.num_tiles, resume_command));
    return 128 + signals.received();
  }
  if (!arguments.quiet) print(stdout, fmt::format("{}: {}\n", out, describe_result(job, outcome)));
  return 0;
}

}  // namespace gramtile::apps
