// Versions that end up in files.
#pragma once

#include <string_view>

namespace gramtile {

/// Version of the program, as `--version` prints it.
inline constexpr std::string_view kVersion = "0.1.0";

/// Raised whenever a change can alter a single bit of K or of a gradient. An interrupted run is
/// resumed, and shards are merged, only under the same number.
inline constexpr int kNumericsVersion = 7;

}  // namespace gramtile
