#include "io/data/cifar.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "io/data/bad_data.hpp"
#include "io/data/element.hpp"

namespace gramtile {
namespace {

constexpr ImageShape kShape{.channels = 3, .height = 32, .width = 32};
constexpr std::size_t kImageBytes = 3 * 32 * 32;
constexpr Index kPieceRecords = 256;  // read at a time, 0.8 MB

std::size_t num_labels(CifarKind kind) { return kind == CifarKind::kCifar10 ? 1 : 2; }

class CifarRecords {
 public:
  CifarRecords(std::vector<SharedBytes> files, CifarKind kind)
      : files_(std::move(files)), num_labels_(num_labels(kind)) {
    for (const SharedBytes& file : files_) {
      if (file->size() == 0 || file->size() % record_bytes() != 0) {
        const std::uint64_t whole = file->size() / record_bytes() * record_bytes();
        refuse_data(file->name(), whole, fmt::format("records of {} bytes", record_bytes()),
                    fmt::format("{} bytes: the file is truncated, or something follows",
                                file->size() - whole));
      }
      first_.push_back(num_images_);
      num_images_ += static_cast<Index>(file->size() / record_bytes());
    }
  }

  struct Record {
    const ByteSource& file;
    std::uint64_t offset;  ///< of the label that is taken
    std::byte label;
    std::span<const std::byte> image;
  };

  const std::string& name() const { return files_.front()->name(); }
  Index num_images() const { return num_images_; }

  // Calls use(position in `images`, record) in order.
  template <typename Use>
  void for_each(Range images, Use use) const {
    std::vector<std::byte> piece;
    for (Index image = images.start; image < images.stop;) {
      const auto next = std::upper_bound(first_.begin(), first_.end(), image);
      const auto f = static_cast<std::size_t>(next - first_.begin()) - 1;
      const Index file_stop = next == first_.end() ? num_images_ : *next;
      const Index count = std::min({kPieceRecords, images.stop - image, file_stop - image});
      const std::uint64_t offset = static_cast<std::uint64_t>(image - first_[f]) * record_bytes();
      piece.resize(static_cast<std::size_t>(count) * record_bytes());
      files_[f]->read(offset, piece);
      for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
        const std::size_t at = i * record_bytes();
        use(static_cast<std::size_t>(image - images.start) + i,
            Record{*files_[f], offset + at + num_labels_ - 1, piece[at + num_labels_ - 1],
                   std::span<const std::byte>(piece).subspan(at + num_labels_, kImageBytes)});
      }
      image += count;
    }
  }

 private:
  std::size_t record_bytes() const { return num_labels_ + kImageBytes; }

  std::vector<SharedBytes> files_;
  std::size_t num_labels_;
  std::vector<Index> first_;  // number of each file's first image
  Index num_images_ = 0;
};

class CifarLabels : public LabelArray {
 public:
  CifarLabels(const CifarRecords& records, CifarKind kind)
      : records_(records),
        last_(kind == CifarKind::kCifar10 ? 9 : 99),
        shape_{static_cast<std::uint64_t>(records.num_images())} {}

  const std::string& name() const override { return records_.name(); }
  const std::vector<std::uint64_t>& shape() const override { return shape_; }
  bool is_integer() const override { return true; }

  void read(std::size_t, Range rows, std::span<std::int64_t> values) override {
    read_all(rows, values);
  }
  void read(std::size_t, Range rows, std::span<double> values) override { read_all(rows, values); }

 private:
  template <typename T>
  void read_all(Range rows, std::span<T> values) const {
    records_.for_each(rows, [&](std::size_t at, const CifarRecords::Record& record) {
      const int label = std::to_integer<int>(record.label);
      if (label > last_) {
        refuse_data(record.file.name(), record.offset, fmt::format("a label of 0 to {}", last_),
                    std::to_string(label));
      }
      values[at] = static_cast<T>(label);
    });
  }

  const CifarRecords& records_;
  int last_;
  std::vector<std::uint64_t> shape_;
};

class CifarImages : public ImageReader {
 public:
  CifarImages(std::vector<SharedBytes> files, CifarKind kind)
      : records_(std::move(files), kind), labels_(records_, kind) {}

  const std::string& name() const override { return records_.name(); }
  ImageShape shape() const override { return kShape; }
  Index num_images() const override { return records_.num_images(); }
  LabelArray* labels() override { return &labels_; }

  void read(Range images, std::span<double> pixels) override {
    records_.for_each(images, [&](std::size_t at, const CifarRecords::Record& record) {
      decode_pixels({.kind = 'u', .size = 1}, record.image,
                    pixels.subspan(at * kImageBytes, kImageBytes));
    });
  }

 private:
  CifarRecords records_;
  CifarLabels labels_;
};

}  // namespace

std::unique_ptr<ImageReader> open_cifar(std::vector<SharedBytes> files, CifarKind kind) {
  return std::make_unique<CifarImages>(std::move(files), kind);
}

}  // namespace gramtile
