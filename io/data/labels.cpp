#include "io/data/labels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/core/errors.hpp"
#include "io/data/bad_data.hpp"

namespace gramtile {
namespace {

constexpr Index kPieceValues = 1 << 17;
constexpr Index kMaxColumns = 1 << 16;
constexpr Index kQmnistColumns = 8;

// Where the images are counted, and how many numbers each of them has.
struct Place {
  std::size_t axis = 0;
  Index columns = 1;
};

std::optional<Place> find_rows(std::span<const std::uint64_t> shape, Index num_images) {
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (shape[axis] == static_cast<std::uint64_t>(num_images)) {
      const auto columns = checked_size(shape.subspan(axis + 1), 1);
      if (!columns || *columns < 1 || *columns > static_cast<std::uint64_t>(kMaxColumns)) break;
      return Place{.axis = axis, .columns = static_cast<Index>(*columns)};
    }
    if (shape[axis] != 1) break;
  }
  return std::nullopt;
}

// The largest double below which every integer is one.
constexpr double kMaxWhole = 9007199254740992.0;

bool is_whole(double value) {
  return std::isfinite(value) && std::abs(value) < kMaxWhole && std::trunc(value) == value;
}

// Calls use(first image of the piece, its values) until it returns false.
template <typename T, typename Use>
void for_each_piece(LabelArray& array, Place place, Range images, Use use) {
  const Index step = std::max<Index>(1, kPieceValues / place.columns);
  std::vector<T> values;
  for (Index start = images.start; start < images.stop; start += step) {
    const Range rows{start, std::min(start + step, images.stop)};
    values.resize(static_cast<std::size_t>(rows.size() * place.columns));
    array.read(place.axis, rows, std::span<T>(values));
    if (!use(static_cast<std::size_t>(start - images.start), std::span<const T>(values))) return;
  }
}

LabelResult read_list(LabelArray& array, Place place, Range images) {
  std::vector<std::int64_t> labels(static_cast<std::size_t>(images.size()));
  if (array.is_integer()) {
    array.read(place.axis, images, std::span<std::int64_t>(labels));
    return {.values = std::move(labels), .note = {}};
  }
  std::string problem;
  for_each_piece<double>(array, place, images, [&](std::size_t at, std::span<const double> piece) {
    const auto bad = std::find_if_not(piece.begin(), piece.end(), is_whole);
    if (bad != piece.end()) {
      problem = fmt::format("holds {}, which is no whole number", *bad);
      return false;
    }
    std::transform(piece.begin(), piece.end(), labels.begin() + static_cast<std::ptrdiff_t>(at),
                   [](double value) { return static_cast<std::int64_t>(value); });
    return true;
  });
  if (problem.empty()) return {.values = std::move(labels), .note = {}};
  return {.values = {}, .note = problem};
}

// The column with the 1, when it is the only entry that is not 0.
std::optional<std::int64_t> one_hot_class(std::span<const double> row) {
  const auto one = std::find(row.begin(), row.end(), 1.0);
  if (one == row.end()) return std::nullopt;
  if (std::count(row.begin(), row.end(), 0.0) + 1 != static_cast<std::ptrdiff_t>(row.size())) {
    return std::nullopt;
  }
  return one - row.begin();
}

// https://github.com/facebookresearch/qmnist: class, series, writer, …, duplicate, unused (0).
std::optional<std::int64_t> qmnist_class(std::span<const double> row) {
  if (row.size() != kQmnistColumns || row[0] < 0 || row[0] > 9 || row[7] != 0) return std::nullopt;
  return static_cast<std::int64_t>(row[0]);
}

LabelResult read_columns(LabelArray& array, Place place, Range images) {
  std::vector<std::int64_t> hot, first;
  bool is_hot = true, is_qmnist = array.is_integer() && place.columns == kQmnistColumns;
  const auto columns = static_cast<std::size_t>(place.columns);
  for_each_piece<double>(array, place, images, [&](std::size_t, std::span<const double> piece) {
    for (std::size_t at = 0; at < piece.size(); at += columns) {
      const auto row = piece.subspan(at, columns);
      const auto hot_class = is_hot ? one_hot_class(row) : std::nullopt;
      const auto first_class = is_qmnist ? qmnist_class(row) : std::nullopt;
      is_hot = hot_class.has_value();
      is_qmnist = first_class.has_value();
      if (is_hot) hot.push_back(*hot_class);
      if (is_qmnist) first.push_back(*first_class);
      if (!is_hot && !is_qmnist) return false;
    }
    return true;
  });
  if (is_hot) {
    return {.values = std::move(hot),
            .note = "one-hot: taken as the numbers of the columns with the ones"};
  }
  if (is_qmnist) {
    return {.values = std::move(first),
            .note = "eight columns as QMNIST has them: the first is taken, the others left out"};
  }
  return {
      .values = {},
      .note = fmt::format("has {} numbers per image, neither one-hot nor QMNIST's", place.columns)};
}

}  // namespace

std::optional<Index> length_of_list(std::span<const std::uint64_t> shape) {
  std::uint64_t length = 1;
  for (const std::uint64_t extent : shape) {
    if (extent == 1) continue;
    if (length != 1) return std::nullopt;
    length = extent;
  }
  if (shape.empty()) return std::nullopt;
  return static_cast<Index>(length);
}

LabelResult read_labels(LabelArray& array, Index num_images, Range images) {
  const auto place = find_rows(array.shape(), num_images);
  if (!place) {
    if (const auto length = length_of_list(array.shape())) {
      throw DataError(array.name(), fmt::format("expected {} labels, one per image, found {}",
                                                num_images, *length));
    }
    return {.values = {},
            .note = fmt::format("has shape {}, which is not one label for each of {} images",
                                shape_text(array.shape()), num_images)};
  }
  return place->columns == 1 ? read_list(array, *place, images)
                             : read_columns(array, *place, images);
}

}  // namespace gramtile
