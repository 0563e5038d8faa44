#include "apps/common/units.hpp"

#include <fmt/format.h>

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <optional>

#include "engine/core/errors.hpp"

namespace gramtile::apps {
namespace {

struct Unit {
  std::string_view name;  // lower case
  double bytes;
};

constexpr double kKibi = 1024, kKilo = 1000;
constexpr std::array kUnits{
    Unit{"", 1},
    Unit{"b", 1},
    Unit{"k", kKibi},
    Unit{"kib", kKibi},
    Unit{"kb", kKilo},
    Unit{"m", kKibi* kKibi},
    Unit{"mib", kKibi* kKibi},
    Unit{"mb", kKilo* kKilo},
    Unit{"g", kKibi* kKibi* kKibi},
    Unit{"gib", kKibi* kKibi* kKibi},
    Unit{"gb", kKilo* kKilo* kKilo},
    Unit{"t", kKibi* kKibi* kKibi* kKibi},
    Unit{"tib", kKibi* kKibi* kKibi* kKibi},
    Unit{"tb", kKilo* kKilo* kKilo* kKilo},
};

std::optional<double> unit_bytes(std::string_view text) {
  std::string lower;
  for (const char c : text) {
    if (c != ' ') lower += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  for (const Unit& unit : kUnits) {
    if (unit.name == lower) return unit.bytes;
  }
  return std::nullopt;
}

}  // namespace

std::size_t parse_bytes(std::string_view text) {
  double number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number, std::chars_format::fixed);
  const auto unit = error == std::errc() ? unit_bytes({rest, static_cast<std::size_t>(end - rest)})
                                         : std::nullopt;
  const double bytes = unit ? std::floor(number * *unit) : 0;
  constexpr double kLimit = 9.0e18;  // below 2⁶³, so that signed arithmetic on it is safe
  if (!(bytes >= 1 && bytes <= kLimit)) {
    throw Error(ErrorKind::kUsage,
                fmt::format("'{}' is not a memory size; write for example 2GiB or 500MB", text));
  }
  return static_cast<std::size_t>(bytes);
}

std::string format_seconds(double seconds) {
  constexpr double kMinute = 60, kHour = 3600, kDay = 86400;
  if (!std::isfinite(seconds) || seconds > 1e6 * kDay) return "very long";
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (seconds < kMinute) return fmt::format("{} s", whole);
  if (seconds < kHour) return fmt::format("{} min {:02} s", whole / 60, whole % 60);
  if (seconds < kDay) return fmt::format("{} h {:02} min", whole / 3600, whole % 3600 / 60);
  return fmt::format("{} d {} h", whole / 86400, whole % 86400 / 3600);
}

}  // namespace gramtile::apps
