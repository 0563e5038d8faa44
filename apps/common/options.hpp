// The options that mean the same in every command that computes.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "engine/core/index.hpp"
#include "io/run/run_file.hpp"

namespace CLI {
class App;
}

namespace gramtile::apps {

struct ComputeArguments {
  std::string network;  ///< a preset's name or a file
  std::string train, test;
  std::string out;
  DataType data_type = DataType::kFloat32;
  Index tile_size = 0;  ///< 0: chosen to suit
  std::size_t memory_bytes = std::size_t{2} << 30;
  int num_threads = 0;  ///< 0: every hardware thread
  std::optional<Shard> shard;
  bool resume = false;
  bool overwrite = false;
  bool no_lock = false;
  bool dry_run = false;
  bool quiet = false;
};

/// Adds the options above to `app`. `arguments` is filled while `app` parses, and has to live as
/// long.
void add_compute_options(CLI::App& app, ComputeArguments& arguments);

/// Those of them that say where a result goes: --out, --resume, --overwrite,
/// --no-lock, --quiet.
void add_output_options(CLI::App& app, ComputeArguments& arguments);

/// What --resume and --overwrite ask of RunWriter.
StartMode start_mode(const ComputeArguments& arguments);

/// "0/4" as a shard. Throws Error(kUsage) unless 0 ≤ index < count ≤ 1,000,000.
Shard parse_shard(const std::string& text);

/// Largest tile that --tile accepts: beyond it a single tile of the jacobian no longer fits
/// anywhere.
inline constexpr Index kMaxTileSize = 8192;

}  // namespace gramtile::apps
