// A data source as the user writes it on the command line: PATH[:/DATASET][#START:STOP].
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "engine/core/index.hpp"

namespace gramtile {

struct SourceSpec {
  std::string text;  ///< exactly what the user wrote
  std::string path;
  std::string dataset;         ///< absolute, e.g. "/X"; empty when none was named
  std::optional<Index> start;  ///< empty: from the first image
  std::optional<Index> stop;   ///< empty: to the last image
};

/// The last '#' begins the range and the last ":/" before it the dataset. Either bound of the range
/// may be left out; a path that itself holds a '#' is written with "#:" behind it.
/// Throws Error(kUsage): an empty path or dataset, a range that is negative, empty or no two
/// numbers.
SourceSpec parse_source_spec(std::string_view text);

/// The images that `spec` means of a source with `num_images`.
/// Throws Error(kUsage) when the range is empty or ends past the last image.
Range resolve_range(const SourceSpec& spec, Index num_images);

}  // namespace gramtile
