// Images that are already in memory, as a BlockSource: what library users and tests hand to the
// engine. Reading is const underneath, so several threads may read the same source.
#pragma once

#include <span>
#include <vector>

#include "engine/core/index.hpp"
#include "engine/core/ports.hpp"
#include "engine/core/views.hpp"

namespace gramtile {

/// Images in memory: float32 and float64 taken as they are, uint8 divided by 255.
class ArraySource : public BlockSource {
 public:
  /// Owns its pixels [N, C, H, W]. The number of images is pixels.size() / shape.num_values().
  /// Throws Error(kUsage) when an extent is below 1, when the pixels do not make whole images or
  /// make none, and DataError naming the first image with a pixel that is not finite.
  ArraySource(ImageShape shape, std::vector<double> pixels);

  /// Looks at pixels that the caller keeps alive and unchanged. Throws like the constructor.
  static ArraySource view(ImageShape shape, std::span<const double> pixels);
  static ArraySource view(const ImageView& images);

  // A copy would leave the view pointing into the original; a moved vector keeps its place.
  ArraySource(const ArraySource&) = delete;
  ArraySource& operator=(const ArraySource&) = delete;
  ArraySource(ArraySource&&) = default;
  ArraySource& operator=(ArraySource&&) = default;

  ImageShape shape() const override { return view_.shape; }
  Index num_examples() const override { return view_.num_images; }
  /// Whether no pixel was negative when the source was made.
  bool nonnegative() const { return nonnegative_; }

  /// Throws Error(kUsage) when `examples` or the size of `pixels` does not fit.
  void read(Range examples, std::span<double> pixels) override;

 private:
  explicit ArraySource(const ImageView& images);
  void read_image(Index image, double* pixels) const;
  void look_at_pixels();

  std::vector<double> owned_;
  ImageView view_;
  bool nonnegative_ = true;
};

}  // namespace gramtile
