#include "apps/common/execute.hpp"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>

#include "apps/common/machine.hpp"
#include "apps/common/memory.hpp"
#include "apps/common/progress.hpp"
#include "apps/common/signals.hpp"
#include "apps/common/streams.hpp"
#include "apps/common/units.hpp"
#include "engine/core/errors.hpp"
#include "io/run/run_file.hpp"
#include "io/run/tile_map.hpp"

namespace gramtile::apps {
namespace {

RunOptions run_options(const Job& job, const ComputeArguments& arguments) {
  RunOptions options;
  options.mode = start_mode(arguments);
  options.shard = arguments.shard;
  options.queue_bytes = share_memory(arguments.memory_bytes).queue_bytes;
  options.no_lock = arguments.no_lock;
  options.mixed_instruction_sets = arguments.mixed_instruction_sets;
  options.notice = notice(arguments);
  options.before_commit = [&job] {
    for (const InputFile& file : job.inputs.files) file.check_unchanged();
  };
  return options;
}

Index num_pairs_of(const TilePlan& plan, const std::vector<Index>& tiles) {
  Index pairs = 0;
  for (const Index tile : tiles)
    pairs += plan.num_pairs(plan.tiles[static_cast<std::size_t>(tile)]);
  return pairs;
}

std::string describe_shard(const std::optional<Shard>& shard) {
  return shard ? fmt::format("share {}/{} of ", shard->index, shard->count) : "";
}

// Computes what is left; returns the number of tiles that were delivered.
Index compute_rest(const Job& job, RunWriter& writer, std::stop_token stop, Progress& progress) {
  ComputeRequest request = job.compute_request();
  request.tiles = writer.tiles_to_do();
  Index delivered = 0;
  const auto on_delivered = [&](const Tile& tile) {
    ++delivered;
    progress.advance(job.spec.plan.num_pairs(tile));
  };
  try {
    compute_tiles(request, job.options, writer, stop, on_delivered);
  } catch (...) {
    progress.clear();
    try {
      writer.interrupt();  // keeps what is finished; the first error is the one to tell
    } catch (const Error&) {
    }
    throw;
  }
  progress.clear();
  return delivered;
}

}  // namespace

int execute(const Job& job, const ComputeArguments& arguments, const std::string& resume_command) {
  const TilePlan& plan = job.spec.plan;
  const StopSignals signals;  // before the writer's and the engine's threads
  check_threads(job.options.num_threads + 1);
  const auto start = std::chrono::steady_clock::now();
  RunWriter writer(arguments.out, job.spec, run_options(job, arguments));
  const auto say = [&](const std::string& text) {
    if (!arguments.quiet) print(stdout, fmt::format("{}: {}\n", arguments.out, text));
  };
  if (writer.already_finished()) {
    writer.finish();
    say("is complete already");
    return 0;
  }
  const Index todo = static_cast<Index>(writer.tiles_to_do().size());
  const Index pairs_todo = num_pairs_of(plan, writer.tiles_to_do());
  const Index pairs = num_pairs(plan, tiles_of(plan, arguments.shard));
  Progress progress(progress_style(arguments.quiet), pairs, pairs - pairs_todo);
  const Index delivered = compute_rest(job, writer, signals.token(), progress);
  if (delivered < todo) {
    writer.interrupt();
    print(stderr, fmt::format("{}: interrupted with {} of {} tiles done; continue with: {}\n",
                              arguments.out, writer.num_tiles() - todo + delivered,
                              writer.num_tiles(), resume_command));
    return 128 + signals.received();
  }
  writer.finish();
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  say(fmt::format("{}{} in {} ({} pairs/s)", describe_shard(arguments.shard),
                  describe_matrices(plan), format_seconds(seconds.count()),
                  format_count(static_cast<Index>(static_cast<double>(pairs_todo) /
                                                  std::max(seconds.count(), 1e-9)))));
  return 0;
}

std::function<void(const std::string&)> notice(const ComputeArguments& arguments) {
  return [quiet = arguments.quiet](const std::string& text) {
    if (!quiet) print(stderr, text + "\n");
  };
}

std::string describe_matrices(const TilePlan& plan) {
  std::string text;
  for (const MatrixSpec& matrix : plan.matrices) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", matrix.name, matrix.num_rows);
    if (matrix.kind != MatrixKind::kDiagonal) text += fmt::format("×{}", matrix.num_columns);
  }
  return text;
}

Index num_pairs(const TilePlan& plan, Range tiles) {
  return plan.tiles.pairs_before(tiles.stop) - plan.tiles.pairs_before(tiles.start);
}

}  // namespace gramtile::apps
