#include "apps/common/options.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <map>

#include "apps/common/machine.hpp"
#include "apps/common/units.hpp"
#include "engine/core/errors.hpp"
#include "io/job/job_request.hpp"
#include "io/job/output_names.hpp"

namespace gramtile::apps {
namespace {

// An option whose text goes through `read`, a function that throws Error(kUsage).
template <typename Read>
CLI::Option* add_text_option(CLI::App& app, const std::string& name, const std::string& type,
                             const std::string& description, Read read) {
  return app
      .add_option_function<std::string>(
          name, [read](const std::string& text) { read(text); }, description)
      ->type_name(type);
}

DataType parse_data_type(const std::string& text) {
  if (text == "float32") return DataType::kFloat32;
  if (text == "float64") return DataType::kFloat64;
  throw Error(ErrorKind::kUsage, fmt::format("--dtype: '{}' is neither float32 nor float64", text));
}

void add_input_options(CLI::App& app, ComputeArguments& arguments) {
  const std::string source = "images: PATH[:/DATASET][#WHICH], WHICH as below";
  app.add_option("--network", arguments.network, "a network file (JSON) or a preset's name")
      ->required()
      ->option_text("NET (required)");
  app.add_option("--train", arguments.train, "training " + source)
      ->required()
      ->option_text("SOURCE (required)");
  app.add_option("--test", arguments.test, "test images, written like --train's")
      ->type_name("SOURCE");
  app.add_option("--train-labels", arguments.train_labels,
                 "labels of the training images in another file: PATH[:/DATASET]")
      ->type_name("SOURCE");
  app.add_option("--test-labels", arguments.test_labels, "labels of the test images")
      ->type_name("SOURCE");
  add_channels_last(app, arguments.channels_last);
}

void add_tile_options(CLI::App& app, ComputeArguments& arguments) {
  add_data_type(app, arguments);
  app.add_option("--tile", arguments.tile_size, "edge of a tile (default: chosen to suit)")
      ->check(CLI::Range(Index{1}, kMaxTileSize))
      ->option_text("N");
}

void add_run_options(CLI::App& app, ComputeArguments& arguments) {
  add_text_option(app, "--shard", "r/R", "compute only share r of R (r from 0); see kernel-merge",
                  [&](const std::string& text) { arguments.shard = parse_shard(text); });
  app.add_flag("--dry-run", arguments.dry_run, "print the plan, write nothing");
}

}  // namespace

void add_data_type(CLI::App& app, ComputeArguments& arguments) {
  add_text_option(app, "--dtype", "TYPE", "float32 (default) or float64",
                  [&](const std::string& text) { arguments.data_type = parse_data_type(text); });
}

void add_channels_last(CLI::App& app, bool& channels_last) {
  app.add_flag("--channels-last", channels_last,
               "arrays [N, a, b, c] are [N, H, W, C] (default: [N, C, H, W])");
}

void add_machine_options(CLI::App& app, ComputeArguments& arguments) {
  arguments.memory_bytes = default_memory_bytes();
  arguments.num_threads = usable_threads();
  add_text_option(app, "--memory", "SIZE",
                  "upper bound for memory (default 2GiB, or 3/4 of what there is)",
                  [&](const std::string& text) { arguments.memory_bytes = parse_bytes(text); });
  app.add_option("--threads", arguments.num_threads,
                 "number of threads (default: all that this process may use)")
      ->check(CLI::Range(1, 4096))
      ->option_text("N");
}

void add_output_options(CLI::App& app, ComputeArguments& arguments) {
  app.add_option("--out", arguments.out, "the HDF5 file to write")
      ->required()
      ->option_text("FILE (required)");
  auto* const resume =
      app.add_flag("--resume", arguments.resume, "continue an interrupted run, or start one")
          ->option_text(" ");
  app.add_flag("--overwrite", arguments.overwrite, "replace an existing or unfinished output")
      ->excludes(resume)
      ->option_text(" ");
  app.add_flag("--no-lock", arguments.no_lock,
               "where not even OUT.lock works: keep other runs out yourself");
  app.add_flag("--mixed-instruction-sets", arguments.mixed_instruction_sets,
               "accept what another instruction set computed, and record it");
  app.add_flag("--quiet", arguments.quiet, "print nothing but errors");
}

void add_compute_options(CLI::App& app, ComputeArguments& arguments) {
  add_input_options(app, arguments);
  add_output_options(app, arguments);
  add_tile_options(app, arguments);
  add_machine_options(app, arguments);
  add_run_options(app, arguments);
}

StartMode start_mode(const ComputeArguments& arguments) {
  if (arguments.resume) return StartMode::kResume;
  return arguments.overwrite ? StartMode::kOverwrite : StartMode::kCreate;
}

void settle_output(ComputeArguments& arguments) {
  arguments.out = gramtile::settle_output(arguments.out, start_mode(arguments));
}

Shard parse_shard(const std::string& text) {
  Shard shard;
  const char* const end = text.data() + text.size();
  const auto [slash, first_error] = std::from_chars(text.data(), end, shard.index);
  if (first_error == std::errc() && slash != end && *slash == '/') {
    const auto [rest, second_error] = std::from_chars(slash + 1, end, shard.count);
    if (second_error == std::errc() && rest == end && shard.index >= 0 &&
        shard.index < shard.count && shard.count <= 1'000'000) {
      return shard;
    }
  }
  throw Error(ErrorKind::kUsage,
              fmt::format("--shard: '{}' is not r/R with 0 <= r < R, for example 0/4", text));
}

}  // namespace gramtile::apps
