#include "engine/core/array_upstream.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/core/errors.hpp"
#include "engine/core/strided.hpp"

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

MatrixView as_matrix(std::span<const double> values, Index num_rows, Index num_columns) {
  if (!fits(static_cast<Index>(values.size()), num_rows, num_columns)) {
    throw Error(ErrorKind::kUsage, fmt::format("upstream: {} values are no matrix [{}, {}]",
                                               values.size(), num_rows, num_columns));
  }
  return matrix_view(values.data(), num_rows, num_columns);
}

}  // namespace

ArrayUpstream::ArrayUpstream(const MatrixView& values) : view_(values) {
  if (values.num_rows < 1 || values.num_columns < 1) {
    throw Error(ErrorKind::kUsage, fmt::format("upstream: a matrix [{}, {}] has no entry",
                                               values.num_rows, values.num_columns));
  }
  std::vector<double> entries(static_cast<std::size_t>(values.num_columns));
  for (Index row = 0; row < values.num_rows; ++row) {
    read_row(row, {0, values.num_columns}, entries.data());
    const auto bad = std::ranges::find_if(entries, [](double v) { return !std::isfinite(v); });
    if (bad == entries.end()) continue;
    throw DataError("upstream", fmt::format("entry [{}, {}] is {}; every entry must be finite", row,
                                            bad - entries.begin(), *bad));
  }
}

ArrayUpstream::ArrayUpstream(std::span<const double> values, Index num_rows, Index num_columns)
    : ArrayUpstream(as_matrix(values, num_rows, num_columns)) {}

void ArrayUpstream::read_row(Index row, Range columns, double* values) const {
  const std::byte* first = static_cast<const std::byte*>(view_.data) + row * view_.row_stride +
                           columns.start * view_.column_stride;
  if (view_.type == DataType::kFloat32) {
    load_elements<float>(first, view_.column_stride, columns.size(), values);
  } else {
    load_elements<double>(first, view_.column_stride, columns.size(), values);
  }
}

void ArrayUpstream::read(Range rows, Range columns, std::span<double> values) const {
  if (!inside(rows, view_.num_rows) || !inside(columns, view_.num_columns) ||
      static_cast<Index>(values.size()) != rows.size() * columns.size()) {
    throw Error(ErrorKind::kUsage,
                fmt::format("upstream: entries [{}:{}, {}:{}] of a matrix [{}, {}] cannot be read "
                            "into a buffer of {} values",
                            rows.start, rows.stop, columns.start, columns.stop, view_.num_rows,
                            view_.num_columns, values.size()));
  }
  for (Index row = rows.start; row < rows.stop; ++row) {
    read_row(row, columns, values.data() + (row - rows.start) * columns.size());
  }
}

}  // namespace gramtile
