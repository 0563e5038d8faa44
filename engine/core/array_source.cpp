#include "engine/core/array_source.hpp"

#include <algorithm>
#include <cmath>
#include <string>
#include <utility>

#include "engine/core/errors.hpp"
#include "engine/core/strided.hpp"

namespace gramtile {
namespace {

std::string text(ImageShape shape) {
  return "[" + std::to_string(shape.channels) + ", " + std::to_string(shape.height) + ", " +
         std::to_string(shape.width) + "]";
}

void check_shape(ImageShape shape) {
  if (shape.channels < 1 || shape.height < 1 || shape.width < 1) {
    throw Error(ErrorKind::kUsage, "array: an image needs at least one channel, row and column");
  }
}

// Number of whole images in `num_pixels` values.
Index count_images(ImageShape shape, Index num_pixels) {
  check_shape(shape);
  Index rest = num_pixels;  // dividing step by step: the product of the extents could overflow
  for (const Index extent : {shape.channels, shape.height, shape.width}) {
    if (rest % extent != 0) rest = 0;
    rest /= extent;
  }
  if (rest == 0) {
    throw Error(ErrorKind::kUsage, "array: " + std::to_string(num_pixels) +
                                       " values are not a positive number of images of shape " +
                                       text(shape));
  }
  return rest;
}

ImageView view_of(ImageShape shape, std::span<const double> pixels) {
  return channels_first(pixels.data(), count_images(shape, static_cast<Index>(pixels.size())),
                        shape);
}

void load_row(PixelType type, const std::byte* from, Index stride, std::span<double> to) {
  const auto count = static_cast<Index>(to.size());
  switch (type) {
    case PixelType::kUint8:
      load_elements<std::uint8_t>(from, stride, count, to.data());
      for (double& pixel : to) pixel /= 255.0;
      return;
    case PixelType::kFloat32:
      return load_elements<float>(from, stride, count, to.data());
    case PixelType::kFloat64:
      return load_elements<double>(from, stride, count, to.data());
  }
}

}  // namespace

ArraySource::ArraySource(ImageShape shape, std::vector<double> pixels)
    : ArraySource(view_of(shape, pixels)) {
  owned_ = std::move(pixels);  // at the address that the view has
}

ArraySource ArraySource::view(ImageShape shape, std::span<const double> pixels) {
  return ArraySource(view_of(shape, pixels));
}

ArraySource ArraySource::view(const ImageView& images) { return ArraySource(images); }

ArraySource::ArraySource(const ImageView& images) : view_(images) {
  check_shape(images.shape);
  if (images.num_images < 1) {
    throw Error(ErrorKind::kUsage, "array: there is no image of shape " + text(images.shape));
  }
  if (images.type != PixelType::kUint8) look_at_pixels();
}

void ArraySource::look_at_pixels() {
  std::vector<double> pixels(static_cast<std::size_t>(view_.shape.num_values()));
  for (Index image = 0; image < view_.num_images; ++image) {
    read_image(image, pixels.data());
    for (const double pixel : pixels) {
      nonnegative_ = nonnegative_ && pixel >= 0;
      if (std::isfinite(pixel)) continue;
      throw DataError("array", "image " + std::to_string(image) +
                                   " has a pixel that is not finite (" + std::to_string(pixel) +
                                   ")");
    }
  }
}

void ArraySource::read_image(Index image, double* pixels) const {
  const auto [num_channels, height, width] = view_.shape;
  const auto* first = static_cast<const std::byte*>(view_.data) + image * view_.strides[0];
  for (Index channel = 0; channel < num_channels; ++channel) {
    for (Index row = 0; row < height; ++row, pixels += width) {
      load_row(view_.type, first + channel * view_.strides[1] + row * view_.strides[2],
               view_.strides[3], {pixels, static_cast<std::size_t>(width)});
    }
  }
}

void ArraySource::read(Range examples, std::span<double> pixels) {
  const Index num_values = view_.shape.num_values();
  if (examples.start < 0 || examples.stop < examples.start || examples.stop > view_.num_images ||
      static_cast<Index>(pixels.size()) != examples.size() * num_values) {
    throw Error(ErrorKind::kUsage, "array: images " + std::to_string(examples.start) + " to " +
                                       std::to_string(examples.stop) +
                                       " cannot be read into a buffer of " +
                                       std::to_string(pixels.size()) + " values");
  }
  for (Index image = examples.start; image < examples.stop; ++image) {
    read_image(image, pixels.data() + (image - examples.start) * num_values);
  }
}

}  // namespace gramtile
