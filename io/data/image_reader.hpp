// What one file format contributes to a data set: a shape, images by number, perhaps labels.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/core/index.hpp"

namespace gramtile {

class ImageReader {
 public:
  virtual ~ImageReader() = default;

  /// As messages name it: the file, and the dataset or member in it.
  virtual const std::string& name() const = 0;
  virtual ImageShape shape() const = 0;
  virtual Index num_images() const = 0;

  /// Pixels of `images`, which lie in the source, to `pixels` [images.size(), C, H, W]. Whether
  /// they are finite is the caller's to check.
  virtual void read(Range images, std::span<double> pixels) = 0;

  /// Labels of `images`, empty when the source has none.
  virtual std::optional<std::vector<std::int64_t>> labels(Range images) = 0;
};

}  // namespace gramtile
