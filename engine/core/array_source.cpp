#include "engine/core/array_source.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "engine/core/errors.hpp"

namespace gramtile {
namespace {

// Number of whole images in `num_pixels` values.
Index count_images(ImageShape shape, Index num_pixels) {
  if (shape.channels < 1 || shape.height < 1 || shape.width < 1) {
    throw Error(ErrorKind::kUsage, "array: an image needs at least one channel, row and column");
  }
  Index rest = num_pixels;  // dividing step by step: the product of the extents could overflow
  for (const Index extent : {shape.channels, shape.height, shape.width}) {
    if (rest % extent != 0) rest = 0;
    rest /= extent;
  }
  if (rest == 0) {
    throw Error(ErrorKind::kUsage, "array: " + std::to_string(num_pixels) +
                                       " values are not a positive number of images of shape [" +
                                       std::to_string(shape.channels) + ", " +
                                       std::to_string(shape.height) + ", " +
                                       std::to_string(shape.width) + "]");
  }
  return rest;
}

void check_finite(std::span<const double> pixels, Index num_values) {
  const auto bad =
      std::find_if(pixels.begin(), pixels.end(), [](double x) { return !std::isfinite(x); });
  if (bad == pixels.end()) return;
  throw DataError("array", "image " + std::to_string((bad - pixels.begin()) / num_values) +
                               " has a pixel that is not finite (" + std::to_string(*bad) + ")");
}

}  // namespace

ArraySource::ArraySource(ImageShape shape, std::vector<double> pixels)
    : ArraySource(View{}, shape, pixels) {
  owned_ = std::move(pixels);
  pixels_ = owned_;
}

ArraySource ArraySource::view(ImageShape shape, std::span<const double> pixels) {
  return ArraySource(View{}, shape, pixels);
}

ArraySource::ArraySource(View, ImageShape shape, std::span<const double> pixels)
    : shape_(shape),
      pixels_(pixels),
      num_examples_(count_images(shape, static_cast<Index>(pixels.size()))) {
  check_finite(pixels, shape.num_values());
}

void ArraySource::read(Range examples, std::span<double> pixels) {
  const Index num_values = shape_.num_values();
  if (examples.start < 0 || examples.stop < examples.start || examples.stop > num_examples_ ||
      static_cast<Index>(pixels.size()) != examples.size() * num_values) {
    throw Error(ErrorKind::kUsage, "array: images " + std::to_string(examples.start) + " to " +
                                       std::to_string(examples.stop) +
                                       " cannot be read into a buffer of " +
                                       std::to_string(pixels.size()) + " values");
  }
  const auto first = pixels_.begin() + examples.start * num_values;
  std::copy(first, first + examples.size() * num_values, pixels.begin());
}

}  // namespace gramtile
