#include "io/data/hdf5_images.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/data/array_names.hpp"
#include "io/data/axis_order.hpp"
#include "io/data/bad_data.hpp"
#include "io/data/inflate.hpp"
#include "io/data/raw_array.hpp"
#include "io/hdf5/hdf5.hpp"

namespace gramtile {
namespace {

std::vector<std::uint64_t> unsigned_shape(const hdf5::Dataset& dataset) {
  return {dataset.shape().begin(), dataset.shape().end()};
}

class Hdf5Labels : public LabelArray {
 public:
  explicit Hdf5Labels(hdf5::Dataset dataset)
      : dataset_(std::move(dataset)),
        name_(printable(dataset_.file() + ":/" + dataset_.name(), 4096)),
        shape_(unsigned_shape(dataset_)) {}

  const std::string& name() const override { return name_; }
  const std::vector<std::uint64_t>& shape() const override { return shape_; }
  bool is_integer() const override { return dataset_.type().kind == hdf5::ElementClass::kInteger; }

  void read(std::size_t axis, Range rows, std::span<std::int64_t> values) override {
    dataset_.read(ranges(axis, rows), values);
    // The library turns a uint64 past the range of int64 into its largest number.
    const auto largest = std::numeric_limits<std::int64_t>::max();
    if (!dataset_.type().is_signed &&
        std::find(values.begin(), values.end(), largest) != values.end()) {
      throw DataError(name_, "expected labels below 2^63 - 1, found a larger one");
    }
  }
  void read(std::size_t axis, Range rows, std::span<double> values) override {
    dataset_.read(ranges(axis, rows), values);
  }

 private:
  std::vector<Range> ranges(std::size_t axis, Range rows) const {
    std::vector<Range> all;
    for (const Index extent : dataset_.shape()) all.push_back({0, extent});
    all[axis] = rows;
    return all;
  }

  hdf5::Dataset dataset_;
  std::string name_;
  std::vector<std::uint64_t> shape_;
};

class Hdf5Images : public ImageReader {
 public:
  Hdf5Images(std::string name, hdf5::Dataset images, std::unique_ptr<LabelArray> labels)
      : name_(std::move(name)),
        images_(std::move(images)),
        labels_(std::move(labels)),
        shape_(image_shape_of(name_, 0, unsigned_shape(images_))),
        is_uint8_(images_.type().kind == hdf5::ElementClass::kInteger) {}

  const std::string& name() const override { return name_; }
  ImageShape shape() const override { return shape_; }
  Index num_images() const override { return images_.shape()[0]; }
  bool axes_are_assumed() const override { return images_.shape().size() == 4; }
  LabelArray* labels() override { return labels_.get(); }
  std::size_t unpack_bytes() const override { return images_.unpack_bytes(); }

  void read(Range images, std::span<double> pixels) override {
    std::vector<Range> ranges{images};
    for (std::size_t axis = 1; axis < images_.shape().size(); ++axis) {
      ranges.push_back({0, images_.shape()[axis]});
    }
    images_.read(ranges, pixels);
    if (!is_uint8_) return;
    for (double& pixel : pixels) pixel /= 255;
  }

  void check_written(Range images) override {
    const auto missing = images_.unwritten(images);
    if (!missing) return;
    const std::string where = missing->first
                                  ? fmt::format(": images {} to {} are missing, for instance",
                                                missing->first->start, missing->first->stop - 1)
                                  : "";
    throw DataError(name_,
                    fmt::format("only {} of {} chunks were ever written{}; the program that wrote "
                                "the file did not come to its end",
                                missing->num_written, missing->num_declared, where));
  }

 private:
  std::string name_;
  hdf5::Dataset images_;
  std::unique_ptr<LabelArray> labels_;
  ImageShape shape_;
  bool is_uint8_;
};

// "train/data [40, 8, 8]"; nothing for a dataset that cannot be of images. One that cannot even be
// opened counts: opening it again says why.
std::optional<std::string> describe_candidate(const hdf5::File& file, const std::string& path) {
  try {
    const hdf5::Dataset dataset = file.dataset(path);
    const std::size_t rank = dataset.shape().size();
    if (rank != 3 && rank != 4) return std::nullopt;
    return path + " " + shape_text(unsigned_shape(dataset));
  } catch (const DataError&) {
    return path;
  }
}

struct Candidates {
  std::vector<std::string> paths, descriptions;
};

Candidates image_candidates(const hdf5::File& file, const std::vector<std::string>& paths) {
  Candidates found;
  for (const std::string& path : paths) {
    auto description = describe_candidate(file, path);
    if (!description) continue;
    found.paths.push_back(path);
    found.descriptions.push_back(*std::move(description));
  }
  return found;
}

// Datasets of the root group: those that open (soft links too), and those that do not.
std::vector<std::string> names_in_root(const hdf5::File& file) {
  std::vector<std::string> names = file.dataset_names();
  for (const std::string& path : file.dataset_paths()) {
    if (path.find('/') != path.npos) continue;
    if (std::find(names.begin(), names.end(), path) == names.end()) names.push_back(path);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string find_images(const hdf5::File& file, DatasetRole role) {
  const Candidates in_root = image_candidates(file, names_in_root(file));
  if (const auto images = choose_images(in_root.paths, role)) return *images;
  const Candidates all = image_candidates(file, file.dataset_paths());
  if (in_root.paths.empty() && all.paths.size() == 1) return all.paths.front();
  const Candidates& offered = in_root.paths.empty() ? all : in_root;
  throw DataError(printable(file.path(), 4096),
                  offered.paths.empty()
                      ? "expected a dataset of rank 3 or 4, found none among: " +
                            list_names(file.dataset_paths())
                      : "which dataset holds the images? Name one behind ':/' (found: " +
                            list_names(offered.descriptions) + ")");
}

std::unique_ptr<LabelArray> open_labels(hdf5::Dataset dataset) {
  const auto kind = dataset.type().kind;
  if (kind != hdf5::ElementClass::kInteger && kind != hdf5::ElementClass::kFloat) {
    throw DataError(printable(dataset.file() + ":/" + dataset.name(), 4096),
                    "expected labels of an integer type, found " + dataset.type().name());
  }
  return std::make_unique<Hdf5Labels>(std::move(dataset));
}

std::unique_ptr<LabelArray> find_labels(const hdf5::File& file, const std::string& images) {
  const std::size_t group_end = images.rfind('/') + 1;  // npos + 1 is 0
  const std::string group = images.substr(0, group_end);
  for (const std::string& name : label_names(images.substr(group_end))) {
    if (group + name == images || !file.has_dataset(group + name)) continue;
    return open_labels(file.dataset(group + name));
  }
  return nullptr;
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
  if (declared / kMaxDeflateRatio >= images.stored_bytes() && images.stored_bytes() < declared) {
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
  // MATLAB counts columns first: what is [H, W, C, N] there stands as [N, C, W, H] in the file.
  const bool is_matlab = images.string_attribute("MATLAB_class").has_value();
  auto reader = std::make_unique<Hdf5Images>(name, std::move(images), find_labels(file, chosen));
  if (is_matlab) return reorder_axes(std::move(reader), AxisOrder::kTransposed);
  return reader;
}

std::unique_ptr<LabelArray> open_hdf5_labels(const std::string& path, const std::string& dataset,
                                             DatasetRole role) {
  const hdf5::File file(path);
  if (!dataset.empty()) return open_labels(file.dataset(dataset));
  const std::vector<std::string> names = names_in_root(file);
  if (const auto chosen = choose_labels(names, role)) return open_labels(file.dataset(*chosen));
  throw DataError(printable(path, 4096),
                  "which dataset holds the labels? Name one behind ':/' (found: " +
                      list_names(file.dataset_paths()) + ")");
}

}  // namespace gramtile
