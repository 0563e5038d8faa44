#include "io/data/source_spec.hpp"

#include <fmt/format.h>

#include <charconv>

#include "engine/core/errors.hpp"
#include "io/data/bad_data.hpp"

namespace gramtile {
namespace {

[[noreturn]] void refuse_spec(std::string_view text, std::string_view problem) {
  throw Error(ErrorKind::kUsage, fmt::format("source '{}': {}", printable(text, 200), problem));
}

// One bound of the range; empty text means "left out".
std::optional<Index> parse_bound(std::string_view bound, std::string_view text) {
  if (bound.empty()) return std::nullopt;
  Index value = 0;
  const char* const end = bound.data() + bound.size();
  const auto [rest, error] = std::from_chars(bound.data(), end, value);
  if (error == std::errc::result_out_of_range) {
    refuse_spec(text, fmt::format("'{}' is too large for an image number", printable(bound, 40)));
  }
  if (error != std::errc() || rest != end) {
    refuse_spec(text, fmt::format("'{}' is not a whole number; a range is written #START:STOP, and "
                                  "a path with a '#' in it ends with '#:'",
                                  printable(bound, 40)));
  }
  if (bound.front() == '-') {
    refuse_spec(text, fmt::format("{} is negative; images are counted from 0", value));
  }
  return value;
}

SourceRange parse_range(std::string_view range, const SourceSpec& spec) {
  const auto colon = range.find(':');
  if (colon == std::string_view::npos) {
    refuse_spec(spec.text,
                fmt::format("expected #START:STOP, #@INDICES.npy or #labels=A,B, found '#{}'; a "
                            "path with a '#' in it ends with '#:'",
                            printable(range, 40)));
  }
  const SourceRange parsed{.start = parse_bound(range.substr(0, colon), spec.text),
                           .stop = parse_bound(range.substr(colon + 1), spec.text)};
  const Index start = parsed.start.value_or(0);
  if (parsed.stop && *parsed.stop <= start) {
    refuse_spec(spec.text, fmt::format("the range {}:{} is empty", start, *parsed.stop));
  }
  return parsed;
}

std::int64_t parse_label(std::string_view text, const SourceSpec& spec) {
  std::int64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end) {
    refuse_spec(spec.text, fmt::format("the label '{}' is not a whole number; labels are written "
                                       "#labels=0,1",
                                       printable(text, 40)));
  }
  return value;
}

// Calls use(part) for each part of "a,b,c"; an empty text is one empty part.
template <typename Use>
void for_each_part(std::string_view list, Use use) {
  for (;;) {
    const auto comma = list.find(',');
    use(list.substr(0, comma));
    if (comma == std::string_view::npos) return;
    list.remove_prefix(comma + 1);
  }
}

// What stands behind the '#'.
void parse_choice(std::string_view choice, SourceSpec& spec) {
  constexpr std::string_view kLabels = "labels=";
  if (choice.starts_with('@')) {
    spec.index_file = choice.substr(1);
    if (spec.index_file.empty()) refuse_spec(spec.text, "no index list is named behind '#@'");
  } else if (choice.starts_with(kLabels)) {
    for_each_part(choice.substr(kLabels.size()),
                  [&](std::string_view part) { spec.labels.push_back(parse_label(part, spec)); });
  } else {
    for_each_part(choice,
                  [&](std::string_view part) { spec.ranges.push_back(parse_range(part, spec)); });
  }
}

}  // namespace

SourceSpec parse_source_spec(std::string_view text) {
  SourceSpec spec;
  spec.text = text;
  if (text.find('\0') != std::string_view::npos) refuse_spec(text, "a path holds no NUL byte");
  if (const auto hash = text.rfind('#'); hash != std::string_view::npos) {
    parse_choice(text.substr(hash + 1), spec);
    text = text.substr(0, hash);
  }
  if (const auto colon = text.rfind(":/"); colon != std::string_view::npos) {
    spec.dataset = text.substr(colon + 1);
    if (spec.dataset == "/") refuse_spec(spec.text, "no dataset is named behind ':/'");
    text = text.substr(0, colon);
  }
  if (text.empty()) refuse_spec(spec.text, "no path is named");
  spec.path = text;
  return spec;
}

std::vector<Range> resolve_ranges(const SourceSpec& spec, Index num_images) {
  std::vector<Range> resolved;
  const auto resolve = [&](const SourceRange& written) {
    const Range range{written.start.value_or(0), written.stop.value_or(num_images)};
    if (range.stop > num_images || range.start >= num_images) {
      refuse_spec(spec.text, fmt::format("the range {}:{} leaves the {} images of the source",
                                         range.start, range.stop, num_images));
    }
    resolved.push_back(range);
  };
  for (const SourceRange& range : spec.ranges) resolve(range);
  if (spec.ranges.empty()) resolve({});
  return resolved;
}

}  // namespace gramtile
