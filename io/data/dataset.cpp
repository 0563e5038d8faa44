#include "io/data/dataset.hpp"

#include <fmt/format.h>
#include <xxhash.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <new>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/data/image_reader.hpp"

namespace gramtile {
namespace {

// Values hashed at a time; at least one image.
constexpr Index kHashedValues = Index{1} << 17;

class Hasher {
 public:
  Hasher() : state_(::XXH3_createState()) {
    if (!state_) throw std::bad_alloc();
    ::XXH3_128bits_reset(state_.get());
  }
  template <typename T>
  void add(std::span<const T> values) {
    ::XXH3_128bits_update(state_.get(), values.data(), values.size_bytes());
  }
  std::string digest() const {
    const XXH128_hash_t hash = ::XXH3_128bits_digest(state_.get());
    return fmt::format("{:016x}{:016x}", hash.high64, hash.low64);
  }

 private:
  struct Free {
    void operator()(XXH3_state_t* state) const { ::XXH3_freeState(state); }
  };
  std::unique_ptr<XXH3_state_t, Free> state_;
};

}  // namespace

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

// docs/data_sources.md, "Content hash": [N, C, H, W] int64, pixels float64, number of labels int64
// (−1: none), labels int64; everything as it lies in a little-endian machine's memory.
const std::string& Dataset::content_hash() {
  if (!content_hash_.empty()) return content_hash_;
  const ImageShape image = shape();
  Hasher hasher;
  const std::int64_t extents[] = {range_.size(), image.channels, image.height, image.width};
  hasher.add(std::span<const std::int64_t>(extents));
  const Index step = std::max<Index>(1, kHashedValues / image.num_values());
  std::vector<double> pixels(
      static_cast<std::size_t>(std::min(step, range_.size()) * image.num_values()));
  for (Index start = 0; start < range_.size(); start += step) {
    const Range examples{start, std::min(start + step, range_.size())};
    const auto block =
        std::span(pixels).first(static_cast<std::size_t>(examples.size() * image.num_values()));
    read(examples, block);
    hasher.add(std::span<const double>(block));
  }
  const std::int64_t num_labels[] = {labels_ ? static_cast<std::int64_t>(labels_->size()) : -1};
  hasher.add(std::span<const std::int64_t>(num_labels));
  if (labels_) hasher.add(std::span<const std::int64_t>(*labels_));
  return content_hash_ = hasher.digest();
}

}  // namespace gramtile
