#include "io/job/quantities.hpp"

#include <fmt/format.h>

#include <array>
#include <cstddef>

namespace gramtile {

std::string format_bytes(std::uint64_t bytes) {
  constexpr double kKibi = 1024;
  constexpr std::array kNames{"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  auto value = static_cast<double>(bytes);
  std::size_t unit = 0;
  for (; value >= kKibi && unit + 1 < kNames.size(); ++unit) value /= kKibi;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kNames[unit]);
}

std::string format_count(std::int64_t count) {
  std::string digits = std::to_string(count);
  const std::size_t first = count < 0 ? 1 : 0;
  for (std::size_t at = digits.size(); at > first + 3;) digits.insert(at -= 3, 1, ',');
  return digits;
}

}  // namespace gramtile
