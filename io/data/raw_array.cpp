#include "io/data/raw_array.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/data/bad_data.hpp"
#include "io/data/element.hpp"

namespace gramtile {
namespace {

constexpr std::size_t kPieceBytes = std::size_t{1} << 20;

bool are_pixels(ElementType type) {
  return type.is_plain || type.kind == 'f' || (type.kind == 'u' && type.size == 1);
}

// Calls use(first, bytes) for pieces of `count` elements from element `first`, in order.
template <typename Use>
void for_each_piece(const RawArray& array, std::uint64_t first, std::uint64_t count, Use use) {
  const auto size = static_cast<std::uint64_t>(array.type.size);
  const std::uint64_t piece = std::min<std::uint64_t>(count, kPieceBytes / size);
  std::vector<std::byte> buffer(static_cast<std::size_t>(piece * size));
  for (std::uint64_t done = 0; done < count; done += piece) {
    const std::uint64_t now = std::min(piece, count - done);
    const auto bytes = std::span(buffer).first(static_cast<std::size_t>(now * size));
    array.bytes->read(array.offset + (first + done) * size, bytes);
    use(static_cast<std::size_t>(done), std::span<const std::byte>(bytes));
  }
}

class RawImages : public ImageReader {
 public:
  RawImages(RawArray images, std::unique_ptr<LabelArray> labels)
      : images_(std::move(images)),
        labels_(std::move(labels)),
        shape_(image_shape_of(images_.bytes->name(), images_.shape_offset, images_.shape)) {}

  const std::string& name() const override { return images_.bytes->name(); }
  ImageShape shape() const override { return shape_; }
  Index num_images() const override { return static_cast<Index>(images_.shape[0]); }
  bool axes_are_assumed() const override { return images_.shape.size() == 4; }

  void read(Range images, std::span<double> pixels) override {
    const auto num_values = static_cast<std::uint64_t>(shape_.num_values());
    const auto size = static_cast<std::size_t>(images_.type.size);
    for_each_piece(images_, static_cast<std::uint64_t>(images.start) * num_values, pixels.size(),
                   [&](std::size_t at, std::span<const std::byte> bytes) {
                     decode_pixels(images_.type, bytes, pixels.subspan(at, bytes.size() / size));
                   });
  }

  LabelArray* labels() override { return labels_.get(); }

 private:
  RawArray images_;
  std::unique_ptr<LabelArray> labels_;
  ImageShape shape_;
};

class RawLabels : public LabelArray {
 public:
  explicit RawLabels(RawArray array) : array_(std::move(array)) {}

  const std::string& name() const override { return array_.bytes->name(); }
  const std::vector<std::uint64_t>& shape() const override { return array_.shape; }
  bool is_integer() const override { return array_.type.is_integer(); }

  void read(std::size_t axis, Range rows, std::span<std::int64_t> values) override {
    read_elements(axis, rows, values, [this](std::span<const std::byte> element) {
      const auto value = decode_integer(array_.type, element);
      if (!value) throw DataError(name(), "expected labels below 2^63, found a larger one");
      return *value;
    });
  }

  void read(std::size_t axis, Range rows, std::span<double> values) override {
    if (is_integer()) {
      std::vector<std::int64_t> integers(values.size());
      read(axis, rows, std::span<std::int64_t>(integers));
      std::copy(integers.begin(), integers.end(), values.begin());
      return;
    }
    read_elements(axis, rows, values, [this](std::span<const std::byte> element) {
      double value = 0;
      decode_pixels(array_.type, element, std::span(&value, 1));
      return value;
    });
  }

 private:
  // The axes before `axis` have extent 1: rows lie one after another.
  template <typename T, typename Decode>
  void read_elements(std::size_t axis, Range rows, std::span<T> values, Decode decode) const {
    std::uint64_t row_size = 1;
    for (const std::uint64_t extent : std::span(array_.shape).subspan(axis + 1)) row_size *= extent;
    const auto size = static_cast<std::size_t>(array_.type.size);
    for_each_piece(array_, static_cast<std::uint64_t>(rows.start) * row_size, values.size(),
                   [&](std::size_t at, std::span<const std::byte> bytes) {
                     for (std::size_t i = 0; i * size < bytes.size(); ++i) {
                       values[at + i] = decode(bytes.subspan(i * size, size));
                     }
                   });
  }

  RawArray array_;
};

}  // namespace

std::string ElementType::name() const {
  const char* const word = kind == 'f' ? "float" : kind == 'i' ? "int" : "uint";
  return fmt::format("{}{}", word, 8 * size);
}

void check_extent(const RawArray& array) {
  const auto array_bytes = checked_size(array.shape, static_cast<std::uint64_t>(array.type.size));
  if (!array_bytes) {
    refuse_data(array.bytes->name(), array.shape_offset, "a shape of less than 2^63 bytes",
                fmt::format("{} {}", array.type.name(), shape_text(array.shape)));
  }
  const std::uint64_t actual = array.bytes->size() - array.offset;
  if (*array_bytes == actual) return;
  refuse_data(
      array.bytes->name(), array.offset,
      fmt::format("{} bytes for {} {}", *array_bytes, array.type.name(), shape_text(array.shape)),
      fmt::format("{}{}", actual,
                  actual < *array_bytes ? ": the file is truncated" : ": bytes follow"));
}

ImageShape image_shape_of(const std::string& name, std::uint64_t shape_offset,
                          std::span<const std::uint64_t> shape) {
  if (shape.size() != 3 && shape.size() != 4) {
    refuse_data(name, shape_offset, "images of shape [N, C, H, W] or [N, H, W]", shape_text(shape));
  }
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) {
    refuse_data(name, shape_offset, "extents of at least 1", shape_text(shape));
  }
  const auto num_values = checked_size(shape.subspan(1), 1);
  if (!num_values || *num_values > kMaxImageValues) {
    refuse_data(name, shape_offset, fmt::format("at most {} values per image", kMaxImageValues),
                shape_text(shape));
  }
  if (!checked_size(shape, sizeof(double))) {
    refuse_data(name, shape_offset, "fewer than 2^60 values", shape_text(shape));
  }
  const bool has_channels = shape.size() == 4;
  return {.channels = has_channels ? static_cast<Index>(shape[1]) : 1,
          .height = static_cast<Index>(shape[shape.size() - 2]),
          .width = static_cast<Index>(shape[shape.size() - 1])};
}

std::unique_ptr<ImageReader> open_raw_images(RawArray images, std::optional<RawArray> labels) {
  if (!are_pixels(images.type)) {
    refuse_data(images.bytes->name(), images.shape_offset,
                "pixels of type uint8, float16, float32 or float64", images.type.name());
  }
  image_shape_of(images.bytes->name(), images.shape_offset, images.shape);  // before shape[0]
  return std::make_unique<RawImages>(std::move(images),
                                     labels ? open_raw_labels(*std::move(labels)) : nullptr);
}

std::unique_ptr<LabelArray> open_raw_labels(RawArray labels) {
  return std::make_unique<RawLabels>(std::move(labels));
}

}  // namespace gramtile
