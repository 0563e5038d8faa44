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

void parse_range(std::string_view range, SourceSpec& spec) {
  const auto colon = range.find(':');
  if (colon == std::string_view::npos) {
    refuse_spec(spec.text, fmt::format("expected a range #START:STOP, found '#{}'; a path with a "
                                       "'#' in it ends with '#:'",
                                       printable(range, 40)));
  }
  spec.start = parse_bound(range.substr(0, colon), spec.text);
  spec.stop = parse_bound(range.substr(colon + 1), spec.text);
  const Index start = spec.start.value_or(0);
  if (spec.stop && *spec.stop <= start) {
    refuse_spec(spec.text, fmt::format("the range {}:{} is empty", start, *spec.stop));
  }
}

}  // namespace

SourceSpec parse_source_spec(std::string_view text) {
  SourceSpec spec{.text = std::string(text), .path = {}, .dataset = {}, .start = {}, .stop = {}};
  if (const auto hash = text.rfind('#'); hash != std::string_view::npos) {
    parse_range(text.substr(hash + 1), spec);
    text = text.substr(0, hash);
  }
  if (const auto colon = text.rfind(":/"); colon != std::string_view::npos) {
    spec.dataset = text.substr(colon + 1);
    if (spec.dataset == "/") refuse_spec(spec.text, "no dataset is named behind ':/'");
    text = text.substr(0, colon);
  }
  if (text.empty()) refuse_spec(spec.text, "no path is named");
  if (text.find('\0') != std::string_view::npos) refuse_spec(spec.text, "a path holds no NUL byte");
  spec.path = text;
  return spec;
}

Range resolve_range(const SourceSpec& spec, Index num_images) {
  const Range range{spec.start.value_or(0), spec.stop.value_or(num_images)};
  if (range.stop > num_images || range.start >= num_images) {
    refuse_spec(spec.text, fmt::format("the range {}:{} leaves the {} images of the source",
                                       range.start, range.stop, num_images));
  }
  return range;
}

}  // namespace gramtile
