#include "engine/core/array_upstream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/core/errors.hpp"

namespace gramtile {
namespace {

// Dividing instead of multiplying: the product of the extents could overflow.
bool fits(Index num_values, Index num_rows, Index num_columns) {
  return num_rows >= 1 && num_columns >= 1 && num_values % num_rows == 0 &&
         num_values / num_rows == num_columns;
}

bool inside(Range range, Index extent) {
  return range.start >= 0 && range.start <= range.stop && range.stop <= extent;
}

}  // namespace

ArrayUpstream::ArrayUpstream(std::span<const double> values, Index num_rows, Index num_columns)
    : values_(values), num_rows_(num_rows), num_columns_(num_columns) {
  if (!fits(static_cast<Index>(values.size()), num_rows, num_columns)) {
    throw Error(ErrorKind::kUsage, fmt::format("upstream: {} values are no matrix [{}, {}]",
                                               values.size(), num_rows, num_columns));
  }
  const auto bad = std::ranges::find_if(values, [](double v) { return !std::isfinite(v); });
  if (bad == values.end()) return;
  const Index at = bad - values.begin();
  throw DataError("upstream", fmt::format("entry [{}, {}] is {}; every entry must be finite",
                                          at / num_columns, at % num_columns, *bad));
}

void ArrayUpstream::read(Range rows, Range columns, std::span<double> values) {
  if (!inside(rows, num_rows_) || !inside(columns, num_columns_) ||
      static_cast<Index>(values.size()) != rows.size() * columns.size()) {
    throw Error(ErrorKind::kUsage,
                fmt::format("upstream: entries [{}:{}, {}:{}] of a matrix [{}, {}] cannot be read "
                            "into a buffer of {} values",
                            rows.start, rows.stop, columns.start, columns.stop, num_rows_,
                            num_columns_, values.size()));
  }
  auto to = values.begin();
  for (Index row = rows.start; row < rows.stop; ++row) {
    const auto first = values_.begin() + row * num_columns_ + columns.start;
    to = std::copy(first, first + columns.size(), to);
  }
}

}  // namespace gramtile
