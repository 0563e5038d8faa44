// Data files for tests, good and bad, made in memory byte by byte; and a folder to put them in.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "io/data/byte_source.hpp"

namespace gramtile::test {

using Bytes = std::vector<std::byte>;

/// `{0x00, 0x08}` without casts.
Bytes bytes_of(std::initializer_list<int> values);
Bytes bytes_of(std::string_view text);
Bytes bytes_of(std::span<const std::byte> values);
Bytes joined(std::initializer_list<Bytes> parts);
/// The first `size` bytes.
Bytes cut(const Bytes& bytes, std::size_t size);
/// `size` bytes 0, 1, …, 250, 0, …
Bytes ramp(std::size_t size);
/// Little- and big-endian integers of `size` bytes.
Bytes little(std::uint64_t value, int size);
Bytes big(std::uint64_t value, int size);

SharedBytes in_memory(Bytes bytes, std::string name = "test.bin");

/// IDX: magic with `type_code`, extents, then `payload` as it is.
Bytes make_idx(int type_code, const std::vector<std::uint32_t>& shape, const Bytes& payload);

Bytes gzipped(const Bytes& contents);
/// A gzip file of `head` followed by `num_zeros` zeros; needs little memory.
Bytes gzipped_zeros(const Bytes& head, std::uint64_t num_zeros);
/// `num_zeros` zeros as HDF5's deflate filter packs them.
Bytes zlib_zeros(std::uint64_t num_zeros);

/// .npy of version `major`.0 around `dict`, padded as NumPy pads it.
Bytes make_npy(const std::string& dict, const Bytes& payload, int major = 1);
/// The dict for `type` ("<f4") and `shape` ("(2, 3)").
std::string npy_dict(const std::string& type, const std::string& shape,
                     const std::string& fortran_order = "False");

struct ZipEntry {
  std::string name;
  Bytes contents;
  bool deflated = false;
  bool zip64 = false;  ///< sizes and offset in the extra field
};
/// A zip file as Python's zipfile writes it. With `zip64_end` it ends with the zip64 records too.
Bytes make_zip(const std::vector<ZipEntry>& entries, bool zip64_end = false);

/// Where the central directory begins.
std::size_t zip_directory_offset(const Bytes& zip);

/// CIFAR-10 records: record i has label i % 10 and pixels (i + position) % 256.
Bytes make_cifar(std::size_t num_records);

/// Runs `call`, which must throw DataError, and returns its message. Fails the test when nothing or
/// something else is thrown, or when the message is not one line.
std::string refusal(const std::function<void()>& call);
bool mentions(const std::string& message, const std::string& word);

/// A folder that is removed with everything in it.
class DataFolder {
 public:
  DataFolder();
  ~DataFolder();
  DataFolder(const DataFolder&) = delete;
  DataFolder& operator=(const DataFolder&) = delete;

  const std::string& path() const { return path_; }
  /// Writes a file (its parent folders too) and returns its path.
  std::string write(const std::string& name, const Bytes& bytes) const;

 private:
  std::string path_;
};

/// Watches the resident memory of this process from its construction on.
class PeakMemory {
 public:
  PeakMemory();
  /// True when the peak has grown by less than `mebibytes` since. Under the address sanitizer,
  /// which keeps up to 256 MiB of freed memory, that much more is allowed.
  bool grew_less_than(std::uint64_t mebibytes) const;

 private:
  std::uint64_t before_bytes_;
};

}  // namespace gramtile::test
