// The checks of kernel-verify: is a file whole, unchanged, and a kernel matrix?
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/core/tile.hpp"
#include "io/job/inputs.hpp"
#include "io/run/read/run_reader.hpp"

namespace gramtile::apps {

/// What one check found.
struct Finding {
  std::string check;  ///< "hashes", "symmetry", …
  bool passed = true;
  /// The file is incomplete or was changed (exit code 13), rather than wrong (1).
  bool damaged = false;
  std::string detail;  ///< one line: what was looked at, or the first thing that is wrong
};

/// Checks that need the file alone: metadata (and what made what, of a mixture), completeness,
/// hashes, symmetry, finite entries, diagonal ≥ 0, |K_ij| ≤ sqrt(K_ii·K_jj) within rounding,
/// gradient = ordered sum of tile_gradient. Reads every tile once or twice, one at a time.
/// `on_tile` is called after each.
std::vector<Finding> check_file(const RunReader& reader,
                                const std::function<void(const Tile&)>& on_tile);

/// Recomputes `num_samples` entries (the same ones every time) by the reference from `inputs`,
/// which hold the file's sets; names the largest difference. Entries over sets that were not given
/// are passed over.
std::vector<Finding> check_samples(const RunReader& reader, const Inputs& inputs,
                                   Index num_samples);

}  // namespace gramtile::apps
