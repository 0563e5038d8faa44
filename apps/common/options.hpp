// The options that mean the same in every command that computes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

#include "engine/core/index.hpp"
#include "io/run/write/run_options.hpp"

namespace CLI {
class App;
}

namespace gramtile::apps {

struct ComputeArguments {
  std::string network;  ///< a preset's name or a file
  std::string train, test;
  std::string train_labels, test_labels;  ///< sources of labels; empty: those beside the images
  bool channels_last = false;
  std::string out;
  DataType data_type = DataType::kFloat32;
  Index tile_size = 0;  ///< 0: chosen to suit
  std::size_t memory_bytes = std::size_t{2} << 30;
  int num_threads = 0;  ///< 0: every hardware thread
  std::optional<Shard> shard;
  bool resume = false;
  bool overwrite = false;
  bool no_lock = false;
  bool mixed_instruction_sets = false;  ///< see RunOptions
  bool dry_run = false;
  bool quiet = false;
};

/// For --help, below the examples: how a source says which of its images are meant.
inline constexpr std::string_view kWhichImages =
    "\nWhich images of a source (WHICH):\n"
    "  data.npz#:1000               the first 1,000; either number may be left out\n"
    "  mnist/#55000:60000,0:5000    several ranges, one after another\n"
    "  data.h5:/X#@list.npy         those that a list of numbers names, in its order\n"
    "  'cifar10/#labels=0,1'        those that bear one of these labels\n";

/// Adds --dtype.
void add_data_type(CLI::App& app, ComputeArguments& arguments);

/// Adds --channels-last.
void add_channels_last(CLI::App& app, bool& channels_last);

/// Adds the options above to `app`. `arguments` is filled while `app` parses, and has to live as
/// long.
void add_compute_options(CLI::App& app, ComputeArguments& arguments);

/// Those of them that say where a result goes: --out, --resume, --overwrite,
/// --no-lock, --mixed-instruction-sets, --quiet.
void add_output_options(CLI::App& app, ComputeArguments& arguments);

/// Those of them that say what a run may use: --memory, --threads.
void add_machine_options(CLI::App& app, ComputeArguments& arguments);

/// What --resume and --overwrite ask of RunWriter.
StartMode start_mode(const ComputeArguments& arguments);

/// "0/4" as a shard. Throws Error(kUsage) unless 0 ≤ index < count ≤ 1,000,000.
Shard parse_shard(const std::string& text);

/// Puts the target of --out in its place, as io/job/output_names.hpp has it; for commands that are
/// no job.
void settle_output(ComputeArguments& arguments);

}  // namespace gramtile::apps
