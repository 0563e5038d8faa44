// Images that are already in memory, as a BlockSource: what library users and tests hand to the
// engine. Reading is const underneath, so several threads may read the same source.
#pragma once

#include <span>
#include <vector>

#include "engine/core/index.hpp"
#include "engine/core/ports.hpp"

namespace gramtile {

/// Images [N, C, H, W] in memory, row-major, taken as they are.
class ArraySource : public BlockSource {
 public:
  /// Owns its pixels. The number of images is pixels.size() / shape.num_values().
  /// Throws Error(kUsage) when an extent is below 1, when the pixels do not make whole images or
  /// make none, and DataError naming the first image with a pixel that is not finite.
  ArraySource(ImageShape shape, std::vector<double> pixels);

  /// Looks at pixels that the caller keeps alive and unchanged. Throws like the constructor.
  static ArraySource view(ImageShape shape, std::span<const double> pixels);

  // A copy would leave pixels_ pointing into the original; a moved vector keeps its place.
  ArraySource(const ArraySource&) = delete;
  ArraySource& operator=(const ArraySource&) = delete;
  ArraySource(ArraySource&&) = default;
  ArraySource& operator=(ArraySource&&) = default;

  ImageShape shape() const override { return shape_; }
  Index num_examples() const override { return num_examples_; }

  /// Throws Error(kUsage) when `examples` or the size of `pixels` does not fit.
  void read(Range examples, std::span<double> pixels) override;

 private:
  struct View {};
  ArraySource(View, ImageShape shape, std::span<const double> pixels);

  ImageShape shape_;
  std::vector<double> owned_;
  std::span<const double> pixels_;
  Index num_examples_ = 0;
};

}  // namespace gramtile
