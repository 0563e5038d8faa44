// Tells the formats apart and hands over to the reader; puts axes in order and labels beside.
#include <filesystem>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/data/axis_order.hpp"
#include "io/data/bad_data.hpp"
#include "io/data/byte_source.hpp"
#include "io/data/cifar.hpp"
#include "io/data/dataset.hpp"
#include "io/data/file_format.hpp"
#include "io/data/folders.hpp"
#include "io/data/hdf5_images.hpp"
#include "io/data/image_reader.hpp"
#include "io/data/mat5.hpp"
#include "io/data/npy.hpp"
#include "io/data/npz.hpp"
#include "io/data/open_labels.hpp"
#include "io/data/raw_array.hpp"

namespace gramtile {
namespace {

// Labels and lists of their own are small beside images; what is not goes to a temporary file.
constexpr std::uint64_t kListInMemoryBytes = std::uint64_t{1} << 20;

void refuse_dataset(const SourceSpec& spec) {
  if (spec.dataset.empty()) return;
  throw Error(ErrorKind::kUsage,
              "source '" + printable(spec.text, 200) +
                  "': only .npz, .mat and HDF5 files hold datasets to choose from");
}

std::unique_ptr<ImageReader> open_reader(const SourceSpec& spec, DatasetRole role,
                                         std::uint64_t in_memory_bytes) {
  std::error_code ignored;
  if (std::filesystem::is_directory(spec.path, ignored)) {
    refuse_dataset(spec);
    return open_folder(spec.path, role, in_memory_bytes);
  }
  SharedBytes bytes = open_file(spec.path);
  const FileFormat format = format_of(spec.path, bytes);
  if (!holds_datasets(format)) refuse_dataset(spec);
  const std::string key = spec.dataset.empty() ? "" : spec.dataset.substr(1);
  switch (format) {
    case FileFormat::kNpy:
      return open_raw_images(parse_npy(std::move(bytes)), std::nullopt);
    case FileFormat::kNpz:
      return open_npz(bytes, key, role, in_memory_bytes);
    case FileFormat::kMat5:
      return open_mat5(bytes, key, role, in_memory_bytes);
    case FileFormat::kCifar10:
      return open_cifar({std::move(bytes)}, CifarKind::kCifar10);
    case FileFormat::kCifar100:
      return open_cifar({std::move(bytes)}, CifarKind::kCifar100);
    case FileFormat::kStl10Images:
      return open_stl10_file(spec.path);
    case FileFormat::kHdf5:
      return open_hdf5_images(spec.path, spec.dataset, role);
    case FileFormat::kIdx:
      return open_idx_file(spec.path, in_memory_bytes);
    case FileFormat::kStl10Labels:
      break;
  }
  throw DataError(bytes->name(), "expected images, found STL-10's labels");
}

}  // namespace

std::unique_ptr<Dataset> open_dataset(const SourceSpec& spec, DatasetRole role,
                                      const DatasetOptions& options) {
  const std::uint64_t in_memory_bytes = options.unpack_in_memory_bytes;
  std::unique_ptr<ImageReader> reader = open_reader(spec, role, in_memory_bytes);
  if (options.channels_last && reader->axes_are_assumed()) {
    reader = reorder_axes(std::move(reader), AxisOrder::kChannelsLast);
  }
  std::unique_ptr<LabelArray> labels;
  if (!options.labels.empty()) {
    const SourceSpec label_spec = parse_source_spec(options.labels);
    if (!label_spec.takes_everything()) {
      throw Error(ErrorKind::kUsage, "source '" + printable(options.labels, 200) +
                                         "': labels are chosen with their images, not by a '#'");
    }
    labels = open_label_source(label_spec, role, kListInMemoryBytes);
  }
  Selection listed;
  if (!spec.index_file.empty()) {
    listed = read_index_list(spec.index_file, reader->num_images(), kListInMemoryBytes);
  }
  return std::make_unique<Dataset>(std::move(reader), spec, std::move(labels), std::move(listed));
}

}  // namespace gramtile
