// Shares into one file.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/core/index.hpp"
#include "io/run/write/run_options.hpp"

namespace gramtile {

/// Merges shares into one file, tile by tile. Errors of RunWriter, kPartMissing naming shares that
/// are missing, double, foreign (what differs), unfinished or damaged, and kInterrupted after
/// `options.stop`: the merge can be resumed.
/// `on_progress(done, total)` [pairs] is called before the first tile and after each one.
void merge_shards(const std::string& out_path, const std::vector<std::string>& shard_paths,
                  const RunOptions& options = {},
                  const std::function<void(Index, Index)>& on_progress = {});

}  // namespace gramtile
