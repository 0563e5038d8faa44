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
constexpr std::size_t kRecordBytes = 1 + kImageBytes;
constexpr Index kPieceRecords = 256;  // read at a time, 0.8 MB

class CifarImages : public ImageReader {
 public:
  explicit CifarImages(std::vector<SharedBytes> files) : files_(std::move(files)) {
    for (const SharedBytes& file : files_) {
      if (file->size() == 0 || file->size() % kRecordBytes != 0) {
        const std::uint64_t whole = file->size() / kRecordBytes * kRecordBytes;
        refuse_data(file->name(), whole, fmt::format("records of {} bytes", kRecordBytes),
                    fmt::format("{} bytes: the file is truncated, or something follows",
                                file->size() - whole));
      }
      first_.push_back(num_images_);
      num_images_ += static_cast<Index>(file->size() / kRecordBytes);
    }
  }

  const std::string& name() const override { return files_.front()->name(); }
  ImageShape shape() const override { return kShape; }
  Index num_images() const override { return num_images_; }

  void read(Range images, std::span<double> pixels) override {
    for_each_record(images, [&](std::size_t at, const auto& record) {
      decode_pixels({.kind = 'u', .size = 1}, record.bytes.subspan(1),
                    pixels.subspan(at * kImageBytes, kImageBytes));
    });
  }

  std::optional<std::vector<std::int64_t>> labels(Range images) override {
    std::vector<std::int64_t> values(static_cast<std::size_t>(images.size()));
    for_each_record(images, [&](std::size_t at, const auto& record) {
      values[at] = std::to_integer<std::int64_t>(record.bytes[0]);
      if (values[at] > 9) {
        refuse_data(record.file.name(), record.offset, "a label of 0 to 9",
                    std::to_string(values[at]));
      }
    });
    return values;
  }

 private:
  struct Record {
    const ByteSource& file;
    std::uint64_t offset;
    std::span<const std::byte> bytes;
  };

  // Calls use(position in `images`, record) in order.
  template <typename Use>
  void for_each_record(Range images, Use use) const {
    std::vector<std::byte> piece;
    for (Index image = images.start; image < images.stop;) {
      const auto next = std::upper_bound(first_.begin(), first_.end(), image);
      const auto f = static_cast<std::size_t>(next - first_.begin()) - 1;
      const Index file_stop = next == first_.end() ? num_images_ : *next;
      const Index count = std::min({kPieceRecords, images.stop - image, file_stop - image});
      const std::uint64_t offset = static_cast<std::uint64_t>(image - first_[f]) * kRecordBytes;
      piece.resize(static_cast<std::size_t>(count) * kRecordBytes);
      files_[f]->read(offset, piece);
      for (std::size_t i = 0; i < static_cast<std::size_t>(count); ++i) {
        use(static_cast<std::size_t>(image - images.start) + i,
            Record{*files_[f], offset + i * kRecordBytes,
                   std::span<const std::byte>(piece).subspan(i * kRecordBytes, kRecordBytes)});
      }
      image += count;
    }
  }

  std::vector<SharedBytes> files_;
  std::vector<Index> first_;  // number of each file's first image
  Index num_images_ = 0;
};

}  // namespace

std::unique_ptr<ImageReader> open_cifar(std::vector<SharedBytes> files) {
  return std::make_unique<CifarImages>(std::move(files));
}

}  // namespace gramtile
