// A run from beginning to end as a call: opens the data, plans the tiles, writes or continues the
// file, and computes what is left of it. kernel-build and kernel-grad are this with a command line
// in front; docs/library.md has an example.
//
//   JobRequest ──Job()→ JobPlan ──read_inputs()→ hashes ──run()→ RunWriter ← compute_tiles
//
// One caller at a time. Errors are exceptions (engine/core/errors.hpp); nothing is printed.
#pragma once

#include <functional>
#include <stop_token>

#include "io/job/job_plan.hpp"
#include "io/job/job_request.hpp"

namespace gramtile {

class Job {
 public:
  /// Opens everything and plans; writes nothing, and reads no pixels yet, but ∂L/∂K once.
  /// Throws Error(kUsage) for what does not go together, for an input that bears a name of the
  /// output, and naming the least memory that would do; Error(kCannotCreate) where the output
  /// cannot be; NetworkError; DataError and IoError for inputs.
  explicit Job(JobRequest request);

  /// As it was given, but for `out`: the target of a link.
  const JobRequest& request() const { return request_; }
  /// Hashes of pixels are in its spec after read_inputs().
  const JobPlan& plan() const { return plan_; }
  /// Tiles and pairs of this run: of the share, if it is one.
  Range tiles() const;
  Index num_pairs() const;

  /// Reads every pixel once: hashes for the spec, any bad pixel is found before the work begins,
  /// and the program learns whether none is negative. A second call does nothing.
  void read_inputs();

  /// Computes and writes every tile that is still to do, after read_inputs(). When `stop` is
  /// requested, the tiles in hand are finished and the outcome is not complete. `on_progress` is
  /// called before the first tile and after each, from one thread at a time. Throws what RunWriter
  /// and compute_tiles throw; what was finished before can be resumed. At most once.
  JobOutcome run(const std::function<void(const JobProgress&)>& on_progress = {},
                 std::stop_token stop = {});

 private:
  RunOptions run_options() const;

  JobRequest request_;
  JobPlan plan_;
  bool inputs_are_read_ = false;
};

/// Job(request).run(on_progress, stop).
JobOutcome run_job(JobRequest request,
                   const std::function<void(const JobProgress&)>& on_progress = {},
                   std::stop_token stop = {});

}  // namespace gramtile
