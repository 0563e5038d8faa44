// Quantities as people write and read them: memory sizes, durations, counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "io/job/quantities.hpp"

namespace gramtile::apps {

/// Bytes in "2GiB", "500MB", "1.5 GB", "4096" (bytes). KiB, MiB, GiB, TiB and the bare letters K,
/// M, G, T are powers of 1024; KB, MB, GB, TB powers of 1000, as `dd` has it. Letters of either
/// case. Throws Error(kUsage) for anything else, zero included.
std::size_t parse_bytes(std::string_view text);

using gramtile::format_bytes;
using gramtile::format_count;

/// "0.3 s", "42 s", "3 min 20 s", "2 h 05 min", "4 d 3 h".
std::string format_seconds(double seconds);

}  // namespace gramtile::apps
