// What one file format contributes to a data set: a shape, images by number, perhaps labels.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "engine/core/index.hpp"
#include "io/data/labels.hpp"

namespace gramtile {

class ImageReader {
 public:
  virtual ~ImageReader() = default;

  /// As messages name it: the file, and the dataset or member in it.
  virtual const std::string& name() const = 0;
  virtual ImageShape shape() const = 0;
  virtual Index num_images() const = 0;

  /// True for an array [N, a, b, c] that does not say which axis the channels are: shape() takes
  /// them for [C, H, W].
  virtual bool axes_are_assumed() const { return false; }

  /// Pixels of `images`, which lie in the source, to `pixels` [images.size(), C, H, W]. Whether
  /// they are finite is the caller's to check.
  virtual void read(Range images, std::span<double> pixels) = 0;

  /// Memory that reading takes beside the pixels [bytes]: of compressed chunks, which are unpacked
  /// whole.
  virtual std::size_t unpack_bytes() const { return 0; }

  /// Throws DataError when the file holds no bytes for some of `images`, though it declares them.
  virtual void check_written(Range images) { static_cast<void>(images); }

  /// The array beside the images that goes by a name of labels, or null. Belongs to the reader.
  virtual LabelArray* labels() { return nullptr; }
};

}  // namespace gramtile
