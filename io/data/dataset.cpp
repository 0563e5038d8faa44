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
namespace {

bool contains(const std::vector<std::int64_t>& labels, std::int64_t label) {
  return std::find(labels.begin(), labels.end(), label) != labels.end();
}

}  // namespace

Dataset::Dataset(std::unique_ptr<ImageReader> reader, SourceSpec spec,
                 std::unique_ptr<LabelArray> labels, Selection listed)
    : reader_(std::move(reader)), spec_(std::move(spec)), given_labels_(std::move(labels)) {
  if (spec_.labels.empty()) {
    choose(std::move(listed));
    read_chosen_labels();
  } else {
    choose_by_label();
  }
  for (const Range run : selection_.runs()) reader_->check_written(run);
}

void Dataset::choose(Selection listed) {
  selection_ = listed.size() > 0 ? std::move(listed)
                                 : Selection(resolve_ranges(spec_, reader_->num_images()));
}

void Dataset::choose_by_label() {
  LabelArray* const array = given_labels_ ? given_labels_.get() : reader_->labels();
  LabelResult all;
  if (array != nullptr) {
    all = read_labels(*array, reader_->num_images(), {0, reader_->num_images()});
    label_note_ = all.note.empty() ? "" : array->name() + " " + all.note;
  }
  if (!all.values) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: the source has no labels to choose by{}", spec_.text,
                            all.note.empty() ? "" : ": " + all.note));
  }
  labels_.emplace();
  for (std::size_t i = 0; i < all.values->size(); ++i) {
    const std::int64_t label = (*all.values)[i];
    if (!contains(spec_.labels, label)) continue;
    selection_.append({static_cast<Index>(i), static_cast<Index>(i) + 1});
    labels_->push_back(label);
  }
  for (const std::int64_t wanted : spec_.labels) {
    if (!contains(*labels_, wanted)) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("{}: no image has the label {}", spec_.text, wanted));
    }
  }
}

void Dataset::read_chosen_labels() {
  LabelArray* const array = given_labels_ ? given_labels_.get() : reader_->labels();
  if (array == nullptr) return;
  const Index num_images = reader_->num_images();
  // Labels in a file of their own may be those of the chosen images alone.
  const bool of_chosen = given_labels_ && length_of_list(array->shape()) == selection_.size() &&
                         length_of_list(array->shape()) != num_images;
  const Range range = of_chosen ? Range{0, selection_.size()} : selection_.bounds();
  LabelResult found = read_labels(*array, of_chosen ? selection_.size() : num_images, range);
  if (!found.values && given_labels_) throw DataError(array->name(), "as labels: " + found.note);
  label_note_ = found.note.empty() ? "" : array->name() + " " + found.note;
  labels_ = std::move(found.values);
  if (!labels_ || of_chosen || selection_.is_contiguous()) return;
  std::vector<std::int64_t> chosen;
  chosen.reserve(static_cast<std::size_t>(selection_.size()));
  for (const Range run : selection_.runs()) {
    const auto first = labels_->begin() + (run.start - range.start);
    chosen.insert(chosen.end(), first, first + run.size());
  }
  labels_ = std::move(chosen);
}

Dataset::~Dataset() = default;

ImageShape Dataset::shape() const { return reader_->shape(); }
std::size_t Dataset::unpack_bytes() const { return reader_->unpack_bytes(); }
bool Dataset::axes_are_assumed() const { return reader_->axes_are_assumed(); }

void Dataset::read(Range examples, std::span<double> pixels) {
  const Index num_values = shape().num_values();
  if (examples.start < 0 || examples.stop < examples.start || examples.stop > num_examples() ||
      static_cast<Index>(pixels.size()) != examples.size() * num_values) {
    throw Error(ErrorKind::kUsage,
                fmt::format("{}: examples {}:{} of {} cannot be read into {} values", spec_.text,
                            examples.start, examples.stop, num_examples(), pixels.size()));
  }
  if (examples.size() == 0) return;
  for (const Selection::Part& part : selection_.parts(examples)) {
    reader_->read(part.images,
                  pixels.subspan(static_cast<std::size_t>(part.first_example * num_values),
                                 static_cast<std::size_t>(part.images.size() * num_values)));
  }
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
                  selection_.image(examples.start + at / image.num_values()),
                  in_image / image.num_pixels(), in_map / image.width, in_map % image.width, *bad));
}

}  // namespace gramtile
