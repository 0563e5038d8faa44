#include "apps/common/describe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "apps/common/streams.hpp"
#include "apps/common/units.hpp"

namespace gramtile::apps {

std::string describe_set(const InputSet& set) {
  const ImageShape shape = set.images().shape();
  const Index count = set.images().num_examples();
  std::string text = fmt::format("{} image{} of {} × {} × {}", format_count(count),
                                 count == 1 ? "" : "s", shape.channels, shape.height, shape.width);
  if (const auto& labels = set.labels(); !labels.empty()) {
    const auto [least, greatest] = std::minmax_element(labels.begin(), labels.end());
    text += fmt::format(", labels {} to {}", *least, *greatest);
  } else {
    text += ", no labels";
  }
  return text;
}

void print_sets(const Inputs& inputs) {
  for (const InputSet& set : inputs.sets) {
    print(stdout, fmt::format("{}: {}\n", set.name, describe_set(set)));
  }
}

std::string describe_matrices(const TilePlan& plan) {
  std::string text;
  for (const MatrixSpec& matrix : plan.matrices) {
    text += fmt::format("{}{} {}", text.empty() ? "" : ", ", matrix.name, matrix.num_rows);
    if (matrix.kind != MatrixKind::kDiagonal) text += fmt::format("×{}", matrix.num_columns);
  }
  return text;
}

}  // namespace gramtile::apps
