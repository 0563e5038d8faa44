#include "io/data/open_labels.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "engine/core/errors.hpp"
#include "io/data/bad_data.hpp"
#include "io/data/file_format.hpp"
#include "io/data/folders.hpp"
#include "io/data/hdf5_images.hpp"
#include "io/data/mat5.hpp"
#include "io/data/npy.hpp"
#include "io/data/npz.hpp"
#include "io/data/raw_array.hpp"
#include "io/data/stl10.hpp"

namespace gramtile {

std::unique_ptr<LabelArray> open_label_source(const SourceSpec& spec, DatasetRole role,
                                              std::uint64_t in_memory_bytes) {
  SharedBytes bytes = open_file(spec.path);
  const FileFormat format = format_of(spec.path, bytes);
  if (!spec.dataset.empty() && !holds_datasets(format)) {
    throw Error(ErrorKind::kUsage,
                "source '" + printable(spec.text, 200) +
                    "': only .npz, .mat and HDF5 files hold datasets to choose from");
  }
  const std::string key = spec.dataset.empty() ? "" : spec.dataset.substr(1);
  switch (format) {
    case FileFormat::kNpy:
      return open_raw_labels(parse_npy(std::move(bytes)));
    case FileFormat::kNpz:
      return open_raw_labels(open_npz_array(bytes, key, role, in_memory_bytes));
    case FileFormat::kMat5:
      return open_raw_labels(open_mat5_array(bytes, key, role, in_memory_bytes));
    case FileFormat::kHdf5:
      return open_hdf5_labels(spec.path, spec.dataset, role);
    case FileFormat::kIdx:
      return open_raw_labels(open_idx(spec.path, in_memory_bytes));
    case FileFormat::kStl10Labels:
      return open_raw_labels(stl10_labels(std::move(bytes)));
    case FileFormat::kCifar10:
    case FileFormat::kCifar100:
    case FileFormat::kStl10Images:
      break;
  }
  throw DataError(bytes->name(), "expected an array of labels, found images");
}

Selection read_index_list(const std::string& path, Index num_images,
                          std::uint64_t in_memory_bytes) {
  const auto array =
      open_label_source(parse_source_spec(path + "#:"), DatasetRole::kTrain, in_memory_bytes);
  const auto length = length_of_list(array->shape());
  if (!length || *length == 0) {
    throw DataError(array->name(), "expected a list of image numbers, found an array of shape " +
                                       shape_text(array->shape()));
  }
  const LabelResult list = read_labels(*array, *length, {0, *length});
  if (!list.values) throw DataError(array->name(), "as a list of image numbers: " + list.note);
  Selection selection;
  for (std::size_t i = 0; i < list.values->size(); ++i) {
    const std::int64_t image = (*list.values)[i];
    if (image < 0 || image >= num_images) {
      throw DataError(array->name(),
                      fmt::format("entry {}: expected an image number of 0 to {}, found {}", i,
                                  num_images - 1, image));
    }
    selection.append({image, image + 1});
  }
  return selection;
}

}  // namespace gramtile
