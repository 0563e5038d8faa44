// Labels as files have them, [N], [N, 1], [1, N], whole-number floats, one-hot rows, QMNIST's eight
// columns, and the one integer per image that is made of them.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/core/index.hpp"

namespace gramtile {

/// An array that may hold labels. `rows` below count along `axis`; the axes before it have extent
/// 1, those behind it are taken whole, row-major.
class LabelArray {
 public:
  virtual ~LabelArray() = default;

  /// As messages name it: the file, and the dataset or member in it.
  virtual const std::string& name() const = 0;
  virtual const std::vector<std::uint64_t>& shape() const = 0;
  /// Integers of any width; otherwise floating point.
  virtual bool is_integer() const = 0;

  /// Throws DataError for an integer past 2⁶³ − 1.
  virtual void read(std::size_t axis, Range rows, std::span<std::int64_t> values) = 0;
  virtual void read(std::size_t axis, Range rows, std::span<double> values) = 0;
};

struct LabelResult {
  std::optional<std::vector<std::int64_t>> values;  ///< one per image, or nothing
  std::string note;  ///< what was left out and why; empty when the array is one integer per image
};

/// The labels of `images` of a source with `num_images`. Throws DataError when the array plainly
/// is one of labels, but not of so many images.
LabelResult read_labels(LabelArray& array, Index num_images, Range images);

/// The number of rows when at most one extent is not 1: of what has the shape of a list.
std::optional<Index> length_of_list(std::span<const std::uint64_t> shape);

}  // namespace gramtile
