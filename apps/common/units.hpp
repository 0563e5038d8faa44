// Quantities as people write and read them: memory sizes, durations, counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace gramtile::apps {

/// Bytes in "2GiB", "500MB", "1.5 GB", "4096" (bytes). KiB, MiB, GiB, TiB and the bare letters K,
/// M, G, T are powers of 1024; KB, MB, GB, TB powers of 1000, as `dd` has it. Letters of either
/// case. Throws Error(kUsage) for anything else, zero included.
std::size_t parse_bytes(std::string_view text);

/// "917 B", "1.5 KiB", "14.6 GiB".
std::string format_bytes(std::uint64_t bytes);

/// "0.3 s", "42 s", "3 min 20 s", "2 h 05 min", "4 d 3 h".
std::string format_seconds(double seconds);

/// "1,234,567".
std::string format_count(std::int64_t count);

}  // namespace gramtile::apps
