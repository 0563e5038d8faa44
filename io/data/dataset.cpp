#include "io/data/dataset.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <new>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/data/image_reader.hpp"

namespace gramtile {
Dataset::Dataset(std::unique_ptr<ImageReader> reader, SourceSpec spec)
    : reader_(std::move(reader)),
      spec_(std::move(spec)),
      range_(resolve_range(spec_, reader_->num_images())),
      labels_(reader_->labels(range_)) {}

Dataset::~Dataset() = default;

ImageShape Dataset::shape() const { return reader_->shape(); }

void Dataset::read(Range examples, std::span<double> pixels) {
  const Index num_values = shape().num_values();
  if (examples.start < 0 || examples.stop < examples.start || examples.stop > range_.size() ||
      static_cast<Index>(pixels.size()) != examples.size() * num_values) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: examples {}:{} of {} cannot be read into {} values", spec_.text,
                            examples.start, examples.stop, range_.size(), pixels.size()));
  }
  if (examples.size() == 0) return;
  reader_->read({range_.start + examples.start, range_.start + examples.stop}, pixels);
  check_finite(examples, pixels);
}

void Dataset::check_finite(Range examples, std::span<const double> pixels) const {
  const auto bad =
      std::find_if(pixels.begin(), pixels.end(), [](double x) { return !std::isfinite(x); });
  if (bad == pixels.end()) return;
  const ImageShape image = shape();
  const Index at = bad - pixels.begin();
  const Index in_image = at % image.num_values();
  const Index in_map = in_image % image.num_pixels();
  throw DataError(
      reader_->name(),
      fmt::format("image {} (channel {}, row {}, column {}): expected a finite pixel, "
                  "found {}",
                  range_.start + examples.start + at / image.num_values(),
                  in_image / image.num_pixels(), in_map / image.width, in_map % image.width, *bad));
}

}  // namespace gramtile
