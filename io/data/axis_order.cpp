#include "io/data/axis_order.hpp"

#include <algorithm>
#include <utility>
#include <vector>

namespace gramtile {
namespace {

class ReorderedImages : public ImageReader {
 public:
  ReorderedImages(std::unique_ptr<ImageReader> reader, AxisOrder order)
      : reader_(std::move(reader)) {
    const ImageShape stored = reader_->shape();
    const Index a = stored.channels, b = stored.height, c = stored.width;
    if (order == AxisOrder::kChannelsLast) {
      shape_ = {.channels = c, .height = a, .width = b};
      strides_ = {.channels = 1, .height = b * c, .width = c};
    } else {
      shape_ = {.channels = a, .height = c, .width = b};
      strides_ = {.channels = b * c, .height = 1, .width = c};
    }
  }

  const std::string& name() const override { return reader_->name(); }
  ImageShape shape() const override { return shape_; }
  Index num_images() const override { return reader_->num_images(); }
  void check_written(Range images) override { reader_->check_written(images); }
  std::size_t unpack_bytes() const override { return reader_->unpack_bytes(); }
  LabelArray* labels() override { return reader_->labels(); }

  // A few images at a time, so that the copy stays small beside `pixels`.
  void read(Range images, std::span<double> pixels) override {
    const Index num_values = shape_.num_values();
    const Index step = std::max<Index>(1, kPieceValues / num_values);
    for (Index start = images.start; start < images.stop; start += step) {
      const Range piece{start, std::min(start + step, images.stop)};
      stored_.resize(static_cast<std::size_t>(piece.size() * num_values));
      reader_->read(piece, stored_);
      auto* to = pixels.data() + (start - images.start) * num_values;
      for (Index image = 0; image < piece.size(); ++image) {
        to = reorder(stored_.data() + image * num_values, to);
      }
    }
  }

 private:
  static constexpr Index kPieceValues = 1 << 17;

  double* reorder(const double* stored, double* to) const {
    for (Index c = 0; c < shape_.channels; ++c) {
      for (Index y = 0; y < shape_.height; ++y) {
        const double* const row = stored + c * strides_.channels + y * strides_.height;
        for (Index x = 0; x < shape_.width; ++x) *to++ = row[x * strides_.width];
      }
    }
    return to;
  }

  std::unique_ptr<ImageReader> reader_;
  ImageShape shape_;
  ImageShape strides_;  // between neighbours along each axis of shape_, as they are stored
  std::vector<double> stored_;
};

}  // namespace

std::unique_ptr<ImageReader> reorder_axes(std::unique_ptr<ImageReader> reader, AxisOrder order) {
  return std::make_unique<ReorderedImages>(std::move(reader), order);
}

}  // namespace gramtile
