#include "io/data/hdf5_images.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/data/array_names.hpp"
#include "io/data/bad_data.hpp"
#include "io/data/raw_array.hpp"
#include "io/hdf5/hdf5.hpp"

namespace gramtile {
namespace {

// Deflate packs 1032 : 1 at best; what claims more was never written, or lies.
constexpr std::uint64_t kMaxRatio = 1032;

std::vector<std::uint64_t> unsigned_shape(const hdf5::Dataset& dataset) {
  return {dataset.shape().begin(), dataset.shape().end()};
}

class Hdf5Images : public ImageReader {
 public:
  Hdf5Images(std::string name, hdf5::Dataset images, std::optional<hdf5::Dataset> labels)
      : name_(std::move(name)),
        images_(std::move(images)),
        labels_(std::move(labels)),
        shape_(image_shape_of(name_, 0, unsigned_shape(images_))),
        is_uint8_(images_.type().kind == hdf5::ElementClass::kInteger) {}

  const std::string& name() const override { return name_; }
  ImageShape shape() const override { return shape_; }
  Index num_images() const override { return images_.shape()[0]; }

  void read(Range images, std::span<double> pixels) override {
    std::vector<Range> ranges{images};
    for (std::size_t axis = 1; axis < images_.shape().size(); ++axis) {
      ranges.push_back({0, images_.shape()[axis]});
    }
    images_.read(ranges, pixels);
    if (!is_uint8_) return;
    for (double& pixel : pixels) pixel /= 255;
  }

  std::optional<std::vector<std::int64_t>> labels(Range images) override {
    if (!labels_) return std::nullopt;
    std::vector<std::int64_t> values(static_cast<std::size_t>(images.size()));
    labels_->read(std::array{images}, values);
    // The library turns a uint64 past the range of int64 into its largest number.
    const auto largest = std::numeric_limits<std::int64_t>::max();
    if (!labels_->type().is_signed &&
        std::find(values.begin(), values.end(), largest) != values.end()) {
      throw DataError(name_, "expected labels below 2^63 - 1, found a larger one");
    }
    return values;
  }

 private:
  std::string name_;
  hdf5::Dataset images_;
  std::optional<hdf5::Dataset> labels_;
  ImageShape shape_;
  bool is_uint8_;
};

// Names of the root group's datasets that could be images. One that cannot even be opened counts:
// opening it again says why.
std::vector<std::string> image_candidates(const hdf5::File& file) {
  std::vector<std::string> names = file.dataset_names();
  std::erase_if(names, [&file](const std::string& name) {
    try {
      const std::size_t rank = file.dataset(name).shape().size();
      return rank != 3 && rank != 4;
    } catch (const DataError&) {
      return false;
    }
  });
  return names;
}

std::string find_images(const hdf5::File& file, DatasetRole role) {
  const std::vector<std::string> candidates = image_candidates(file);
  const auto images = choose_images(candidates, role);
  if (images) return *images;
  throw DataError(printable(file.path(), 4096),
                  candidates.empty()
                      ? "expected a dataset of rank 3 or 4, found none among: " +
                            list_names(file.dataset_names())
                      : "which dataset holds the images? Name one behind ':/' (found: " +
                            list_names(candidates) + ")");
}

std::optional<hdf5::Dataset> find_labels(const hdf5::File& file, const std::string& images) {
  const std::size_t group_end = images.rfind('/') + 1;  // npos + 1 is 0
  const std::string group = images.substr(0, group_end);
  for (const std::string& name : label_names(images.substr(group_end))) {
    if (!file.has_dataset(group + name)) continue;
    hdf5::Dataset labels = file.dataset(group + name);
    // Targets of a regression go by the same names; they are no labels.
    if (labels.shape().size() != 1 || labels.type().kind != hdf5::ElementClass::kInteger) break;
    return labels;
  }
  return std::nullopt;
}

void check_images(const std::string& name, const hdf5::Dataset& images) {
  const hdf5::ElementType type = images.type();
  const bool is_uint8 =
      type.kind == hdf5::ElementClass::kInteger && type.size_bytes == 1 && !type.is_signed;
  if (!is_uint8 && type.kind != hdf5::ElementClass::kFloat) {
    throw DataError(
        name, "expected pixels of type uint8, float16, float32 or float64, found " + type.name());
  }
  image_shape_of(name, 0, unsigned_shape(images));
  const std::uint64_t declared =
      static_cast<std::uint64_t>(images.num_elements()) * type.size_bytes;
  if (declared / kMaxRatio >= images.stored_bytes() && images.stored_bytes() < declared) {
    throw DataError(name, fmt::format("expected {} bytes of pixels, found {} stored: the dataset "
                                      "was never written",
                                      declared, images.stored_bytes()));
  }
}

}  // namespace

std::unique_ptr<ImageReader> open_hdf5_images(const std::string& path, const std::string& dataset,
                                              DatasetRole role) {
  const hdf5::File file(path);
  const std::string chosen = dataset.empty() ? find_images(file, role) : dataset;
  const std::string name = printable(path + (chosen.starts_with('/') ? ":" : ":/") + chosen, 4096);
  hdf5::Dataset images = file.dataset(chosen);
  check_images(name, images);
  std::optional<hdf5::Dataset> labels = find_labels(file, chosen);
  if (labels && labels->shape()[0] != images.shape()[0]) {
    throw DataError(
        name, fmt::format("expected {} labels, one per image, found {} in '{}'", images.shape()[0],
                          labels->shape()[0], printable(labels->name())));
  }
  return std::make_unique<Hdf5Images>(name, std::move(images), std::move(labels));
}

}  // namespace gramtile
