// A data set as the commands see it: one source of docs/data_sources.md, the images of it that were
// chosen, and their labels. Pixels stay in the file and are read block by block.
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
#include "io/data/selection.hpp"
#include "io/data/source_spec.hpp"

namespace gramtile {

class ImageReader;
class LabelArray;

/// Which part of a source that holds several: train-* or t10k-*, data_batch_* or test_batch,
/// x_train or x_test. Validation images are those called so (x_val), where there are some, and
/// otherwise training images, taken by a range.
enum class DatasetRole { kTrain, kValidation, kTest };

class Dataset : public BlockSource {
 public:
  /// The images of `reader` that `spec` asks for, or those of `listed` when it names an index list,
  /// with `labels` in place of the reader's own when they are given.
  /// Throws Error(kUsage) when a range does not fit or labels are asked for and there are none,
  /// DataError for bad labels and for images that the file declares and does not hold.
  Dataset(std::unique_ptr<ImageReader> reader, SourceSpec spec,
          std::unique_ptr<LabelArray> labels = nullptr, Selection listed = {});
  ~Dataset() override;

  ImageShape shape() const override;
  Index num_examples() const override { return selection_.size(); }

  /// Example 0 is the first that was chosen. Throws DataError naming the image (counted in the
  /// file), channel, row and column of the first pixel that is not finite.
  void read(Range examples, std::span<double> pixels) override;

  /// One label per example, when the source has labels.
  const std::optional<std::vector<std::int64_t>>& labels() const { return labels_; }
  /// What of the labels was left out and why, one line with the name of their array; or empty.
  const std::string& label_note() const { return label_note_; }

  /// The array is [N, a, b, c] and does not say which axis the channels are; it was taken for
  /// [N, C, H, W].
  bool axes_are_assumed() const;

  /// Memory that reading takes beside the pixels [bytes], as ImageReader says.
  std::size_t unpack_bytes() const;

  /// The source as the user wrote it.
  const std::string& description() const { return spec_.text; }

  /// The images of the file that are the examples.
  const Selection& selection() const { return selection_; }
  /// The same when they are consecutive; otherwise the smallest range that holds them.
  Range range() const { return selection_.bounds(); }

 private:
  void choose(Selection listed);
  void choose_by_label();
  void read_chosen_labels();
  void check_finite(Range examples, std::span<const double> pixels) const;

  std::unique_ptr<ImageReader> reader_;
  SourceSpec spec_;
  std::unique_ptr<LabelArray> given_labels_;
  Selection selection_;
  std::optional<std::vector<std::int64_t>> labels_;
  std::string label_note_;
};

struct DatasetOptions {
  /// Compressed contents up to this size are unpacked in memory, larger ones in a temporary file.
  std::uint64_t unpack_in_memory_bytes = kUnpackInMemoryBytes;
  /// Arrays [N, a, b, c] are [N, H, W, C]. Formats that know their axes are read as they are.
  bool channels_last = false;
  /// PATH[:/DATASET] of labels in place of those beside the images; empty: those.
  std::string labels = {};
};

/// Opens a source of any kind, told apart by its first bytes. Throws DataError when the file is not
/// what it claims to be, IoError when it cannot be read, Error(kUsage) when the range does not fit
/// or a dataset is named where there is none to choose.
std::unique_ptr<Dataset> open_dataset(const SourceSpec& spec, DatasetRole role,
                                      const DatasetOptions& options = {});

}  // namespace gramtile
