#include "io/data/file_format.hpp"

#include <algorithm>
#include <string_view>
#include <vector>

#include "io/data/bad_data.hpp"
#include "io/data/idx.hpp"
#include "io/data/mat5.hpp"
#include "io/data/zip.hpp"

namespace gramtile {
namespace {

constexpr std::string_view kHdf5Signature("\x89HDF\r\n\x1a\n", 8);

bool begins_with(std::span<const std::byte> head, std::string_view magic) {
  for (std::size_t i = 0; i < magic.size(); ++i) {
    if (i >= head.size() || head[i] != static_cast<std::byte>(magic[i])) return false;
  }
  return true;
}

// Behind a user block of 512, 1024, 2048 … bytes, as the format has it.
bool has_hdf5_signature(const ByteSource& bytes) {
  std::vector<std::byte> found(kHdf5Signature.size());
  for (std::uint64_t at = 0; at <= bytes.size() && bytes.size() - at >= found.size();
       at = at == 0 ? 512 : 2 * at) {
    bytes.read(at, found);
    if (begins_with(found, kHdf5Signature)) return true;
  }
  return false;
}

}  // namespace

FileFormat format_of(const std::string& path, const SharedBytes& bytes) {
  const std::string name = path.substr(path.rfind('/') + 1);
  if (name == "test_batch.bin" || (name.starts_with("data_batch_") && name.ends_with(".bin"))) {
    return FileFormat::kCifar10;
  }
  if ((name == "train.bin" || name == "test.bin") && bytes->size() % 3074 == 0) {
    return FileFormat::kCifar100;
  }
  if (name == "train_X.bin" || name == "test_X.bin" || name == "unlabeled_X.bin") {
    return FileFormat::kStl10Images;
  }
  if (name == "train_y.bin" || name == "test_y.bin") return FileFormat::kStl10Labels;
  const std::vector<std::byte> head = read_head(*bytes, 32);
  if (begins_with(head, "\x93NUMPY")) return FileFormat::kNpy;
  if (is_zip(head)) return FileFormat::kNpz;
  if (is_mat5(head)) return FileFormat::kMat5;
  if (has_hdf5_signature(*bytes)) return FileFormat::kHdf5;
  if (is_gzip(head) || begins_with(head, std::string_view("\0\0", 2))) return FileFormat::kIdx;
  refuse_data(bytes->name(), 0, "the first bytes of an IDX, gzip, .npy, .npz, .mat or HDF5 file",
              hex(std::span(head).first(std::min<std::size_t>(head.size(), 8))));
}

bool holds_datasets(FileFormat format) {
  return format == FileFormat::kNpz || format == FileFormat::kHdf5 || format == FileFormat::kMat5;
}

}  // namespace gramtile
