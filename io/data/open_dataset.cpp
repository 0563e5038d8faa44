// Tells the formats apart by their first bytes and hands over to the reader.
#include <filesystem>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/data/bad_data.hpp"
#include "io/data/byte_source.hpp"
#include "io/data/cifar.hpp"
#include "io/data/dataset.hpp"
#include "io/data/folders.hpp"
#include "io/data/hdf5_images.hpp"
#include "io/data/idx.hpp"
#include "io/data/image_reader.hpp"
#include "io/data/npy.hpp"
#include "io/data/npz.hpp"
#include "io/data/raw_array.hpp"
#include "io/data/zip.hpp"

namespace gramtile {
namespace {

enum class Format { kIdx, kNpy, kNpz, kCifar, kHdf5 };

bool begins_with(std::span<const std::byte> head, std::string_view magic) {
  for (std::size_t i = 0; i < magic.size(); ++i) {
    if (i >= head.size() || head[i] != static_cast<std::byte>(magic[i])) return false;
  }
  return true;
}

// CIFAR-10 files have no magic; their names are all there is to go by.
bool has_cifar_name(const std::string& path) {
  const std::string name = path.substr(path.rfind('/') + 1);
  return name == "test_batch.bin" || (name.starts_with("data_batch_") && name.ends_with(".bin"));
}

Format format_of(const std::string& path, const SharedBytes& bytes) {
  const std::vector<std::byte> head = read_head(*bytes, 8);
  if (has_cifar_name(path)) return Format::kCifar;
  if (begins_with(head, "\x89HDF\r\n\x1a\n")) return Format::kHdf5;
  if (begins_with(head, "\x93NUMPY")) return Format::kNpy;
  if (is_zip(head)) return Format::kNpz;
  if (is_gzip(head) || begins_with(head, std::string_view("\0\0", 2))) return Format::kIdx;
  refuse_data(bytes->name(), 0, "the first bytes of an IDX, gzip, .npy, .npz or HDF5 file",
              hex(head));
}

std::unique_ptr<ImageReader> open_reader(const SourceSpec& spec, DatasetRole role,
                                         std::uint64_t in_memory_bytes) {
  const auto no_dataset = [&spec] {
    if (spec.dataset.empty()) return;
    throw Error(ErrorKind::kUsage, "source '" + printable(spec.text, 200) +
                                       "': only .npz and HDF5 files hold datasets to choose from");
  };
  std::error_code ignored;
  if (std::filesystem::is_directory(spec.path, ignored)) {
    no_dataset();
    return open_folder(spec.path, role, in_memory_bytes);
  }
  SharedBytes bytes = open_file(spec.path);
  const Format format = format_of(spec.path, bytes);
  if (format != Format::kNpz && format != Format::kHdf5) no_dataset();
  switch (format) {
    case Format::kNpy:
      return open_raw_images(parse_npy(std::move(bytes)), std::nullopt);
    case Format::kNpz:
      return open_npz(bytes, spec.dataset.empty() ? "" : spec.dataset.substr(1), role,
                      in_memory_bytes);
    case Format::kCifar:
      return open_cifar({std::move(bytes)});
    case Format::kHdf5:
      return open_hdf5_images(spec.path, spec.dataset, role);
    case Format::kIdx:
      return open_idx_file(spec.path, in_memory_bytes);
  }
  return nullptr;  // every format has returned
}

}  // namespace

std::unique_ptr<Dataset> open_dataset(const SourceSpec& spec, DatasetRole role,
                                      const DatasetOptions& options) {
  return std::make_unique<Dataset>(open_reader(spec, role, options.unpack_in_memory_bytes), spec);
}

}  // namespace gramtile
