#include "io/job/job.hpp"

#include <array>
#include <chrono>
#include <string>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/job/memory_budget.hpp"
#include "io/job/output_names.hpp"
#include "io/run/spec/content_hash.hpp"
#include "io/run/spec/tile_map.hpp"
#include "io/run/write/run_writer.hpp"

namespace gramtile {
namespace {

Index pairs_of(const TilePlan& plan, const std::vector<Index>& tiles) {
  Index pairs = 0;
  for (const Index tile : tiles)
    pairs += plan.num_pairs(plan.tiles[static_cast<std::size_t>(tile)]);
  return pairs;
}

/// A writer that is interrupted, so that what is finished is kept; the first error is the one to
/// tell.
void interrupt_quietly(RunWriter& writer) {
  try {
    writer.interrupt();
  } catch (const Error&) {
  }
}

JobRequest with_settled_output(JobRequest request) {
  request.out = settle_output(request.out, request.mode);
  return request;
}

}  // namespace

Job::Job(JobRequest request)
    : request_(with_settled_output(std::move(request))), plan_(plan_job(request_)) {
  refuse_inputs_as_outputs(request_.out, plan_.inputs.files);
  refuse_inputs_as_outputs(request_.out, std::array{request_.network_name});
}

Range Job::tiles() const { return tiles_of(plan_.spec.plan, request_.shard); }

Index Job::num_pairs() const {
  const auto& all = plan_.spec.plan.tiles;
  return all.pairs_before(tiles().stop) - all.pairs_before(tiles().start);
}

void Job::read_inputs() {
  if (inputs_are_read_) return;
  bool nonnegative = true;
  for (std::size_t i = 0; i < plan_.spec.sets.size(); ++i) {
    SourceContents contents = read_contents(*plan_.sources[i], request_.abandon);
    plan_.spec.sets[i].hash = std::move(contents.hash);
    nonnegative = nonnegative && contents.nonnegative;
  }
  if (nonnegative) assume_nonnegative_images(plan_.inputs.program);
  inputs_are_read_ = true;
}

RunOptions Job::run_options() const {
  RunOptions options;
  options.mode = request_.mode;
  options.shard = request_.shard;
  options.queue_bytes = share_memory(request_.memory_bytes).queue_bytes;
  options.no_lock = request_.no_lock;
  options.mixed_instruction_sets = request_.mixed_instruction_sets;
  options.notice = request_.notice;
  options.before_commit = [this] {
    for (const InputFile& file : plan_.inputs.files) file.check_unchanged();
  };
  return options;
}

JobOutcome Job::run(const std::function<void(const JobProgress&)>& on_progress,
                    std::stop_token stop) {
  read_inputs();
  const TilePlan& tiles = plan_.spec.plan;
  const auto start = std::chrono::steady_clock::now();
  RunWriter writer(request_.out, plan_.spec, run_options());
  JobOutcome outcome{.num_tiles = writer.num_tiles(), .num_done = writer.num_tiles()};
  if (writer.already_finished()) {
    writer.finish();
    outcome.complete = outcome.already_complete = true;
    return outcome;
  }
  ComputeRequest compute = plan_.compute_request();
  compute.tiles = writer.tiles_to_do();
  outcome.num_done -= static_cast<Index>(compute.tiles.size());
  JobProgress progress{.done_pairs = num_pairs() - pairs_of(tiles, compute.tiles),
                       .total_pairs = num_pairs()};
  const auto report = [&] {
    if (on_progress) on_progress(progress);
  };
  report();
  try {
    compute_tiles(compute, plan_.options, writer, std::move(stop), [&](const Tile& tile) {
      ++outcome.num_done;
      outcome.computed_pairs += tiles.num_pairs(tile);
      progress.done_pairs += tiles.num_pairs(tile);
      report();
    });
  } catch (...) {
    interrupt_quietly(writer);
    throw;
  }
  outcome.complete = outcome.num_done == outcome.num_tiles;
  if (outcome.complete) {
    writer.finish();
  } else {
    writer.interrupt();
  }
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return outcome;
}

JobOutcome run_job(JobRequest request, const std::function<void(const JobProgress&)>& on_progress,
                   std::stop_token stop) {
  return Job(std::move(request)).run(on_progress, std::move(stop));
}

}  // namespace gramtile
