// A data set as the commands see it: one source of docs/data_sources.md, its range and its labels.
// Pixels stay in the file and are read block by block.
//
// One caller at a time; two data sets may be used from two threads.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/core/index.hpp"
#include "engine/core/ports.hpp"
#include "io/data/inflate.hpp"
#include "io/data/source_spec.hpp"

namespace gramtile {

class ImageReader;

/// Which half of a source that holds both: train-* or t10k-*, data_batch_* or test_batch, x_train
/// or x_test. Validation images are training images, taken by a range.
enum class DatasetRole { kTrain, kTest };

class Dataset : public BlockSource {
 public:
  /// The images of `reader` that `spec` asks for. Reads their labels.
  /// Throws Error(kUsage) when the range does not fit, DataError for bad labels.
  Dataset(std::unique_ptr<ImageReader> reader, SourceSpec spec);
  ~Dataset() override;

  ImageShape shape() const override;
  Index num_examples() const override { return range_.size(); }

  /// Example 0 is the first of the range. Throws DataError naming the image (counted in the file),
  /// channel, row and column of the first pixel that is not finite.
  void read(Range examples, std::span<double> pixels) override;

  /// One label per example, when the source has labels.
  const std::optional<std::vector<std::int64_t>>& labels() const { return labels_; }

  /// The source as the user wrote it.
  const std::string& description() const { return spec_.text; }

  /// The images of the file that are the examples.
  Range range() const { return range_; }

 private:
  void check_finite(Range examples, std::span<const double> pixels) const;

  std::unique_ptr<ImageReader> reader_;
  SourceSpec spec_;
  Range range_;
  std::optional<std::vector<std::int64_t>> labels_;
};

struct DatasetOptions {
  /// Compressed contents up to this size are unpacked in memory, larger ones in a temporary file.
  std::uint64_t unpack_in_memory_bytes = kUnpackInMemoryBytes;
};

/// Opens a source of any kind, told apart by its first bytes. Throws DataError when the file is not
/// what it claims to be, IoError when it cannot be read, Error(kUsage) when the range does not fit
/// or a dataset is named where there is none to choose.
std::unique_ptr<Dataset> open_dataset(const SourceSpec& spec, DatasetRole role,
                                      const DatasetOptions& options = {});

}  // namespace gramtile
