#include "tests/support/data_files.hpp"

#include <doctest/doctest.h>
#include <stdlib.h>
#include <zlib.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include "engine/core/errors.hpp"

namespace gramtile::test {
namespace {

// Deflate with zlib's `window_bits` (31: gzip, 15: zlib, −15: bare).
Bytes deflated(const Bytes& head, std::uint64_t num_zeros, int window_bits) {
  z_stream z{};
  deflateInit2(&z, 6, Z_DEFLATED, window_bits, 8, Z_DEFAULT_STRATEGY);
  Bytes out, piece(std::size_t{1} << 20), buffer(std::size_t{1} << 16);
  const auto push = [&](const std::byte* data, std::size_t size, int flush) {
    z.next_in = reinterpret_cast<Bytef*>(const_cast<std::byte*>(data));
    z.avail_in = static_cast<uInt>(size);
    do {
      z.next_out = reinterpret_cast<Bytef*>(buffer.data());
      z.avail_out = static_cast<uInt>(buffer.size());
      deflate(&z, flush);
      out.insert(out.end(), buffer.begin(), buffer.end() - z.avail_out);
    } while (z.avail_out == 0);
  };
  push(head.data(), head.size(), Z_NO_FLUSH);
  while (num_zeros > 0) {
    const std::uint64_t now = std::min<std::uint64_t>(num_zeros, piece.size());
    push(piece.data(), now, Z_NO_FLUSH);
    num_zeros -= now;
  }
  push(nullptr, 0, Z_FINISH);
  deflateEnd(&z);
  return out;
}

std::uint64_t peak_bytes() {
  std::ifstream status("/proc/self/status");
  std::string word;
  std::uint64_t kib = 0;
  while (status >> word) {
    if (word == "VmHWM:") status >> kib;
  }
  return kib * 1024;
}

std::uint32_t crc_of(const Bytes& bytes) {
  return static_cast<std::uint32_t>(
      crc32(0, reinterpret_cast<const Bytef*>(bytes.data()), static_cast<uInt>(bytes.size())));
}

// Fields that the local header and the directory's entry share: version to uncompressed size.
Bytes common_fields(const ZipEntry& entry, std::uint64_t packed_bytes) {
  const auto size = [&](std::uint64_t value) {
    return little(entry.zip64 ? 0xffffffff : value, 4);
  };
  return joined({little(20, 2), little(0, 2), little(entry.deflated ? 8 : 0, 2), little(0, 4),
                 little(crc_of(entry.contents), 4), size(packed_bytes),
                 size(entry.contents.size())});
}

Bytes directory_entry(const ZipEntry& entry, std::uint64_t packed_bytes, std::uint64_t offset) {
  const Bytes extra = entry.zip64
                          ? joined({little(1, 2), little(24, 2), little(entry.contents.size(), 8),
                                    little(packed_bytes, 8), little(offset, 8)})
                          : Bytes{};
  return joined({little(0x02014b50, 4), little(20, 2), common_fields(entry, packed_bytes),
                 little(entry.name.size(), 2), little(extra.size(), 2), little(0, 2), little(0, 2),
                 little(0, 2), little(0, 4), little(entry.zip64 ? 0xffffffff : offset, 4),
                 bytes_of(entry.name), extra});
}

Bytes zip64_end_records(std::size_t num_entries, std::size_t directory_bytes, std::size_t offset) {
  return joined({little(0x06064b50, 4), little(44, 8), little(45, 2), little(45, 2), little(0, 4),
                 little(0, 4), little(num_entries, 8), little(num_entries, 8),
                 little(directory_bytes, 8), little(offset, 8), little(0x07064b50, 4), little(0, 4),
                 little(offset + directory_bytes, 8), little(1, 4)});
}

}  // namespace

Bytes bytes_of(std::initializer_list<int> values) {
  Bytes bytes;
  for (const int value : values) bytes.push_back(static_cast<std::byte>(value));
  return bytes;
}

Bytes bytes_of(std::string_view text) {
  return bytes_of(std::as_bytes(std::span(text.data(), text.size())));
}

Bytes bytes_of(std::span<const std::byte> values) { return {values.begin(), values.end()}; }

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes bytes;
  for (const Bytes& part : parts) bytes.insert(bytes.end(), part.begin(), part.end());
  return bytes;
}

Bytes cut(const Bytes& bytes, std::size_t size) {
  return {bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)};
}

Bytes ramp(std::size_t size) {
  Bytes bytes(size);
  for (std::size_t i = 0; i < size; ++i) bytes[i] = static_cast<std::byte>(i % 251);
  return bytes;
}

Bytes little(std::uint64_t value, int size) {
  Bytes bytes;
  for (int i = 0; i < size; ++i) bytes.push_back(static_cast<std::byte>(value >> 8 * i));
  return bytes;
}

Bytes big(std::uint64_t value, int size) {
  Bytes bytes = little(value, size);
  std::reverse(bytes.begin(), bytes.end());
  return bytes;
}

SharedBytes in_memory(Bytes bytes, std::string name) {
  return from_memory(std::move(bytes), std::move(name));
}

Bytes make_idx(int type_code, const std::vector<std::uint32_t>& shape, const Bytes& payload) {
  Bytes bytes = bytes_of({0, 0, type_code, static_cast<int>(shape.size())});
  for (const std::uint32_t extent : shape) bytes = joined({bytes, big(extent, 4)});
  return joined({bytes, payload});
}

Bytes gzipped(const Bytes& contents) { return deflated(contents, 0, 15 + 16); }

Bytes gzipped_zeros(const Bytes& head, std::uint64_t num_zeros) {
  return deflated(head, num_zeros, 15 + 16);
}

Bytes make_npy(const std::string& dict, const Bytes& payload, int major) {
  const std::size_t length_bytes = major == 1 ? 2 : 4;
  std::string header = dict;
  while ((8 + length_bytes + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  return joined({bytes_of("\x93NUMPY"), bytes_of({major, 0}),
                 little(header.size(), static_cast<int>(length_bytes)), bytes_of(header), payload});
}

std::string npy_dict(const std::string& type, const std::string& shape,
                     const std::string& fortran_order) {
  return "{'descr': '" + type + "', 'fortran_order': " + fortran_order + ", 'shape': " + shape +
         ", }";
}

Bytes make_zip(const std::vector<ZipEntry>& entries, bool zip64_end) {
  Bytes file, directory;
  for (const ZipEntry& entry : entries) {
    const Bytes packed = entry.deflated ? deflated(entry.contents, 0, -15) : entry.contents;
    directory = joined({directory, directory_entry(entry, packed.size(), file.size())});
    file = joined({file, little(0x04034b50, 4), common_fields(entry, packed.size()),
                   little(entry.name.size(), 2), little(0, 2), bytes_of(entry.name), packed});
  }
  const std::size_t offset = file.size();
  file = joined({file, directory});
  if (zip64_end) {
    file = joined({file, zip64_end_records(entries.size(), directory.size(), offset)});
  }
  const auto count = little(zip64_end ? 0xffff : entries.size(), 2);
  return joined({file, little(0x06054b50, 4), little(0, 4), count, count,
                 little(zip64_end ? 0xffffffff : directory.size(), 4),
                 little(zip64_end ? 0xffffffff : offset, 4), little(0, 2)});
}

std::size_t zip_directory_offset(const Bytes& zip) {
  std::size_t offset = 0;
  for (std::size_t i = 4; i-- > 0;) {
    offset = offset << 8 | std::to_integer<std::size_t>(zip[zip.size() - 6 + i]);
  }
  return offset;
}

Bytes make_cifar(std::size_t num_records) {
  Bytes bytes;
  for (std::size_t i = 0; i < num_records; ++i) {
    bytes.push_back(static_cast<std::byte>(i % 10));
    for (std::size_t at = 0; at < 3072; ++at) bytes.push_back(static_cast<std::byte>(i + at));
  }
  return bytes;
}

Bytes zlib_zeros(std::uint64_t num_zeros) { return deflated({}, num_zeros, 15); }

std::string refusal(const std::function<void()>& call) {
  try {
    call();
  } catch (const DataError& error) {
    const std::string message = error.what();
    CHECK(message.find('\n') == std::string::npos);
    return message;
  } catch (const std::exception& error) {
    FAIL_CHECK("thrown instead of DataError: " << error.what());
    return "";
  }
  FAIL_CHECK("nothing was thrown");
  return "";
}

bool mentions(const std::string& message, const std::string& word) {
  return message.find(word) != std::string::npos;
}

DataFolder::DataFolder() {
  std::string pattern = std::filesystem::temp_directory_path() / "gramtile-data-XXXXXX";
  if (mkdtemp(pattern.data()) == nullptr) throw std::runtime_error("mkdtemp failed");
  path_ = pattern;
}

DataFolder::~DataFolder() {
  std::error_code ignored;
  std::filesystem::remove_all(path_, ignored);
}

std::string DataFolder::write(const std::string& name, const Bytes& bytes) const {
  const std::filesystem::path path = std::filesystem::path(path_) / name;
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(bytes.data()),
             static_cast<std::streamsize>(bytes.size()));
  if (!file.flush()) throw std::runtime_error("cannot write " + path.string());
  return path;
}

PeakMemory::PeakMemory() {
  std::ofstream("/proc/self/clear_refs") << "5";  // the peak is the present size
  before_bytes_ = peak_bytes();
}

bool PeakMemory::grew_less_than(std::uint64_t mebibytes) const {
#ifdef __SANITIZE_ADDRESS__
  mebibytes += 256;
#endif
  const std::uint64_t grown = peak_bytes() - before_bytes_;
  return grown >> 20 < mebibytes;
}

}  // namespace gramtile::test
