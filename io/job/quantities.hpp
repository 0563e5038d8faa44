// Quantities in messages, as people read them.
#pragma once

#include <cstdint>
#include <string>

namespace gramtile {

/// "917 B", "1.5 KiB", "14.6 GiB".
std::string format_bytes(std::uint64_t bytes);

/// "1,234,567".
std::string format_count(std::int64_t count);

}  // namespace gramtile
