#include "io/run/spec/mixed_sets.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "engine/core/errors.hpp"

namespace gramtile {

std::int8_t MixedSets::index_of(const std::string& name) {
  const auto found = std::ranges::find(names, name);
  const auto index = static_cast<std::int8_t>(found - names.begin());
  if (found != names.end()) return index;
  if (names.size() == kMaxNames)
    throw Error(ErrorKind::kOther, "more instruction sets than a file can name");
  names.push_back(name);
  return index;
}

std::string joined(const std::vector<std::string>& names) {
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string describe(const MixedSets& mixture) {
  std::string text;
  const auto append = [&](const std::string& name, std::int8_t index) {
    const auto count = std::ranges::count(mixture.by_tile, index);
    if (count > 0) text += fmt::format("{}{} {} tiles", text.empty() ? "" : ", ", name, count);
  };
  for (std::size_t i = 0; i < mixture.names.size(); ++i)
    append(mixture.names[i], static_cast<std::int8_t>(i));
  append("unknown", MixedSets::kUnknown);
  return text;
}

}  // namespace gramtile
