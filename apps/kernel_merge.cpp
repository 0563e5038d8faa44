// kernel-merge: the shares of one run (kernel-build or kernel-grad with --shard) to one file, tile
// by tile. Shares that are missing, double, foreign, unfinished or damaged are named.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <optional>
#include <string>
#include <vector>

#include "apps/common/command.hpp"
#include "apps/common/machine.hpp"
#include "apps/common/options.hpp"
#include "apps/common/progress.hpp"
#include "apps/common/request.hpp"
#include "apps/common/signals.hpp"
#include "apps/common/streams.hpp"
#include "engine/core/errors.hpp"
#include "io/job/output_names.hpp"
#include "io/run/write/merge_shards.hpp"

namespace gramtile::apps {
namespace {

constexpr std::string_view kExamples =
    "  kernel-merge --out K.h5 K0.h5 K1.h5 K2.h5 K3.h5\n"
    "  kernel-merge --out K.h5 --resume K?.h5\n"
    "  kernel-merge --out K.h5 --mixed-instruction-sets K?.h5\n";

int run(int argc, char** argv) {
  CLI::App app("Merges the shares of one run into one file with the bytes of an undivided run.",
               "kernel-merge");
  ComputeArguments arguments;  // only its output options are used
  std::vector<std::string> shares;
  app.add_option("shares", shares, "the files that --shard wrote, in any order")
      ->required()
      ->option_text("SHARE...");
  add_output_options(app, arguments);
  describe(app, kExamples);
  if (!parse(app, argc, argv)) return 0;

  settle_output(arguments);
  refuse_inputs_as_outputs(arguments.out, shares);
  const StopSignals signals;  // before the writer's thread
  check_threads(1);
  RunOptions options;
  options.mode = start_mode(arguments);
  options.no_lock = arguments.no_lock;
  options.mixed_instruction_sets = arguments.mixed_instruction_sets;
  options.notice = notice(arguments.quiet);
  options.stop = signals.token();
  std::optional<Progress> progress;  // knows the number of pairs from the first report on
  Index done_before = 0;
  const auto on_progress = [&](Index done, Index total) {
    if (!progress) {
      progress.emplace(progress_style(arguments.quiet), total, done);
    } else {
      progress->advance(done - done_before);
    }
    done_before = done;
  };
  try {
    merge_shards(arguments.out, shares, options, on_progress);
  } catch (const Error& error) {
    progress.reset();
    if (error.kind() != ErrorKind::kInterrupted) throw;
    print(stderr, fmt::format("{}; continue with: {}\n", error.what(),
                              command_line(argc, argv, "--resume", "--overwrite")));
    return 128 + signals.received();
  }
  progress.reset();
  if (!arguments.quiet)
    print(stdout, fmt::format("{}: merged {} shares\n", arguments.out, shares.size()));
  return 0;
}

}  // namespace
}  // namespace gramtile::apps

int main(int argc, char** argv) {
  return gramtile::apps::run_command("kernel-merge", argc, argv, gramtile::apps::run);
}
