#include "io/data/folders.hpp"

#include <filesystem>
#include <optional>
#include <utility>
#include <vector>

#include "engine/core/errors.hpp"
#include "io/data/bad_data.hpp"
#include "io/data/byte_source.hpp"
#include "io/data/cifar.hpp"
#include "io/data/idx.hpp"
#include "io/data/mat5.hpp"
#include "io/data/raw_array.hpp"
#include "io/data/stl10.hpp"

namespace gramtile {
namespace {

namespace fs = std::filesystem;

bool exists(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// `path`, or the same with .gz added or taken away: whichever is there.
std::optional<std::string> find_plain_or_gzip(const std::string& path) {
  if (exists(path)) return path;
  const std::string other = path.ends_with(".gz") ? path.substr(0, path.size() - 3) : path + ".gz";
  if (exists(other)) return other;
  return std::nullopt;
}

// ".../t10k-images-idx3-ubyte.gz" → ".../t10k-labels-idx1-ubyte.gz"; also with '.' before "idx".
std::optional<std::string> find_labels(const std::string& images) {
  const std::size_t folder_end = images.rfind('/') + 1;  // npos + 1 is 0
  const std::size_t images_at = images.find("images", folder_end);
  const std::size_t idx_at = images.find("idx3", folder_end);
  if (images_at == std::string::npos || idx_at == std::string::npos) return std::nullopt;
  const std::string before =
      images.substr(0, images_at) + "labels" + images.substr(images_at + 6, idx_at - images_at - 6);
  const std::string behind = images.substr(idx_at + 4);  // "-ubyte.gz"
  if (auto labels = find_plain_or_gzip(before + "idx1" + behind)) return labels;
  return find_plain_or_gzip(before + "idx2-int" + (behind.ends_with(".gz") ? ".gz" : ""));
}

std::optional<std::string> find_mnist(const std::string& folder, const std::string& half) {
  for (const char* const below : {"/", "/raw/", "/MNIST/raw/"}) {
    for (const std::string& stem : {half, "qmnist-" + (half == "t10k" ? "test" : half)}) {
      for (const char* const name : {"-images-idx3-ubyte", "-images.idx3-ubyte"}) {
        if (auto path = find_plain_or_gzip(folder + below + stem + name)) return path;
      }
    }
  }
  return std::nullopt;
}

// The folder in which CIFAR-10's binary files lie: this one or the one that the archive makes.
std::optional<std::string> find_cifar(const std::string& folder) {
  for (const char* const below : {"/", "/cifar-10-batches-bin/"}) {
    if (exists(folder + below + "data_batch_1.bin") || exists(folder + below + "test_batch.bin")) {
      return folder + below;
    }
  }
  return std::nullopt;
}

std::unique_ptr<ImageReader> open_cifar_folder(const std::string& folder, DatasetRole role) {
  std::vector<SharedBytes> files;
  if (role == DatasetRole::kTest) {
    files.push_back(open_file(folder + "test_batch.bin"));
  } else {
    for (const char batch : {'1', '2', '3', '4', '5'}) {
      files.push_back(open_file(folder + "data_batch_" + batch + ".bin"));
    }
  }
  return open_cifar(std::move(files));
}

// `name` in this folder or in the one that the archive makes.
std::optional<std::string> find_file(const std::string& folder, const std::string& archive,
                                     const std::string& name) {
  for (const std::string& path : {folder + "/" + name, folder + "/" + archive + "/" + name}) {
    if (exists(path)) return path;
  }
  return std::nullopt;
}

[[noreturn]] void refuse_folder(const std::string& path, const std::string& half,
                                const std::string& other_half) {
  const std::string name = printable(path, 4096);
  for (const char* const below :
       {"/data_batch_1", "/test_batch", "/cifar-10-batches-py/data_batch_1"}) {
    if (exists(path + below)) {
      throw DataError(name,
                      "CIFAR-10's Python version cannot be read (pickles can run code); get "
                      "the binary version, cifar-10-binary.tar.gz");
    }
  }
  if (const auto other = find_mnist(path, other_half)) {
    throw DataError(name, "expected " + half +
                              "-images-idx3-ubyte(.gz), found only the other half"
                              " of MNIST; to use that, name the file itself: " +
                              printable(*other, 4096));
  }
  throw DataError(name, "expected MNIST's " + half +
                            "-images-idx3-ubyte(.gz), the .bin files of CIFAR-10, CIFAR-100 or "
                            "STL-10, or SVHN's .mat files in this folder, found none of them");
}

}  // namespace

std::unique_ptr<ImageReader> open_folder(const std::string& path, DatasetRole role,
                                         std::uint64_t in_memory_bytes) {
  const bool train = role != DatasetRole::kTest;
  const std::string half = train ? "train" : "t10k";
  if (const auto mnist = find_mnist(path, half)) return open_idx_file(*mnist, in_memory_bytes);
  if (const auto cifar = find_cifar(path)) return open_cifar_folder(*cifar, role);
  const std::string word = train ? "train" : "test";
  if (const auto cifar = find_file(path, "cifar-100-binary", word + ".bin")) {
    return open_cifar({open_file(*cifar)}, CifarKind::kCifar100);
  }
  if (const auto stl = find_file(path, "stl10_binary", word + "_X.bin"))
    return open_stl10_file(*stl);
  if (const auto svhn = find_file(path, "svhn", word + "_32x32.mat")) {
    return open_mat5(open_file(*svhn), "", role, in_memory_bytes);
  }
  refuse_folder(path, half, train ? "t10k" : "train");
}

RawArray open_idx(const std::string& path, std::uint64_t in_memory_bytes) {
  SharedBytes bytes = open_file(path);
  if (is_gzip(read_head(*bytes, 2))) return parse_idx_gzip(bytes, in_memory_bytes);
  return parse_idx(std::move(bytes));
}

std::unique_ptr<ImageReader> open_idx_file(const std::string& path, std::uint64_t in_memory_bytes) {
  RawArray images = open_idx(path, in_memory_bytes);
  std::optional<RawArray> labels;
  if (const auto found = find_labels(path)) labels = open_idx(*found, in_memory_bytes);
  return open_raw_images(std::move(images), std::move(labels));
}

std::unique_ptr<ImageReader> open_stl10_file(const std::string& path) {
  std::optional<RawArray> labels;
  const std::string beside =
      path.substr(0, path.size() - std::string_view("X.bin").size()) + "y.bin";
  if (exists(beside)) labels = stl10_labels(open_file(beside));
  return open_stl10(open_file(path), std::move(labels));
}

}  // namespace gramtile
