// How a run is started and written.
#pragma once

#include <cstddef>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include "engine/core/index.hpp"
#include "io/files/file_system.hpp"
#include "io/run/spec/shard.hpp"

namespace gramtile {

enum class StartMode {
  kCreate,     ///< refuse when the output or an unfinished run is there
  kResume,     ///< continue an unfinished run; start one when there is none
  kOverwrite,  ///< drop an unfinished run; an existing output is replaced when this one is finished
};

struct RunOptions {
  StartMode mode = StartMode::kCreate;
  std::optional<Shard> shard;
  std::size_t queue_bytes = std::size_t{64}
                            << 20;  ///< tiles that wait to be written; at least one fits
  Index tiles_per_commit = 64;
  double seconds_per_commit = 2;
  FileSystem* file_system = nullptr;  ///< nullptr: the real one
  /// Neither locks nor makes OUT.lock: the caller knows that nobody else writes this output.
  bool no_lock = false;
  /// kResume: what another instruction set committed is kept, and the file says which made what.
  /// merge_shards: shares of unlike instruction sets are merged, likewise.
  bool mixed_instruction_sets = false;
  /// Told what the user should know of a run that goes on.
  std::function<void(const std::string&)> notice;
  /// Called before tiles are committed, from the background thread. When it throws, they are not,
  /// and the run ends with that error: for inputs that changed under the run.
  std::function<void()> before_commit;
  /// Asks merge_shards to stop; a RunWriter's caller stops by interrupt().
  std::stop_token stop;
};

}  // namespace gramtile
