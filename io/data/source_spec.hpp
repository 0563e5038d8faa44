// A data source as the user writes it on the command line:
// PATH[:/DATASET][#START:STOP,…], or behind the '#' @INDICES.npy or labels=A,B,….
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/index.hpp"

namespace gramtile {

/// A range as it was written.
struct SourceRange {
  std::optional<Index> start;  ///< empty: from the first image
  std::optional<Index> stop;   ///< empty: to the last image
};

struct SourceSpec {
  std::string text;  ///< exactly what the user wrote
  std::string path;
  std::string dataset;  ///< absolute, e.g. "/X"; empty when none was named
  // At most one of the three chooses images; none: all of them.
  std::vector<SourceRange> ranges;   ///< one after another
  std::string index_file;            ///< PATH[:/DATASET] of an array of image numbers
  std::vector<std::int64_t> labels;  ///< images that bear one of these

  bool takes_everything() const { return ranges.empty() && index_file.empty() && labels.empty(); }
};

/// The last '#' begins the choice of images and the last ":/" before it the dataset. Either bound
/// of a range may be left out; a path that itself holds a '#' is written with "#:" behind it.
/// Throws Error(kUsage): an empty path or dataset, a range that is negative, empty or no two
/// numbers, an index list without a name, a label that is no whole number.
SourceSpec parse_source_spec(std::string_view text);

/// The images that the ranges of `spec` mean of a source with `num_images`, in the order written;
/// all of them when there are no ranges.
/// Throws Error(kUsage) when a range is empty or ends past the last image.
std::vector<Range> resolve_ranges(const SourceSpec& spec, Index num_images);

}  // namespace gramtile
