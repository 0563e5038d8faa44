// A file made in memory on its way to disk, and compared with what is there.
#include <algorithm>
#include <array>
#include <cstring>
#include <utility>
#include <vector>

#include "io/run/spec/content_hash.hpp"
#include "io/run/spec/run_image.hpp"

namespace gramtile {
namespace {

constexpr std::size_t kImageBufferBytes = std::size_t{4} << 20;

/// Fills `bytes` with `pattern` (a power of two long) over and over, beginning at phase `phase`.
void repeat(std::span<const std::uint8_t> pattern, std::uint64_t phase,
            std::span<std::byte> bytes) {
  const std::size_t period = pattern.size();
  for (std::size_t i = 0; i < std::min(period, bytes.size()); ++i)
    bytes[i] = std::byte{pattern[(phase + i) % period]};
  for (std::size_t done = period; done < bytes.size(); done *= 2)
    std::memcpy(&bytes[done], bytes.data(), std::min(done, bytes.size() - done));
}

}  // namespace

void read_created(const hdf5::FileImage& image, std::uint64_t offset, std::span<std::byte> bytes) {
  image.read(offset, bytes);
  const std::uint64_t end = offset + bytes.size();
  for (const hdf5::RawData& raw : image.reserved()) {
    if (!raw.nan_type || raw.offset >= end || raw.offset + raw.num_bytes <= offset) continue;
    // Little-endian quiet NaN: 00 00 c0 7f, 00 00 00 00 00 00 f8 7f.
    constexpr std::array<std::uint8_t, 4> kSingle{0, 0, 0xc0, 0x7f};
    constexpr std::array<std::uint8_t, 8> kDouble{0, 0, 0, 0, 0, 0, 0xf8, 0x7f};
    const std::uint64_t first = std::max(offset, raw.offset);
    const std::uint64_t last = std::min(end, raw.offset + raw.num_bytes);
    const auto region = bytes.subspan(first - offset, last - first);
    const bool single = *raw.nan_type == DataType::kFloat32;
    repeat(single ? std::span<const std::uint8_t>(kSingle) : kDouble, first - raw.offset, region);
  }
}

namespace {

/// Calls `visit(offset, size)` for what lies between the reserved regions, in pieces of a buffer.
template <typename Visit>
void for_metadata(const hdf5::FileImage& image, const Visit& visit) {
  std::uint64_t at = 0;
  const auto between = [&](std::uint64_t stop) {
    for (; at < stop; at += std::min<std::uint64_t>(kImageBufferBytes, stop - at))
      visit(at, static_cast<std::size_t>(std::min<std::uint64_t>(kImageBufferBytes, stop - at)));
  };
  for (const hdf5::RawData& raw : image.reserved()) {
    between(raw.offset);
    at = raw.offset + raw.num_bytes;
  }
  between(image.size_bytes());
}

}  // namespace

std::string digest_of(const hdf5::FileImage& image) {
  ContentHasher hasher;
  std::vector<std::byte> buffer;
  for_metadata(image, [&](std::uint64_t offset, std::size_t size) {
    buffer.resize(size);
    image.read(offset, buffer);
    hasher.add(std::as_bytes(std::span(&offset, 1)));
    hasher.add(buffer);
  });
  return hasher.digest();
}

void write_image(const hdf5::FileImage& image, File& file) {
  const std::uint64_t size = image.size_bytes();
  file.truncate(0);
  file.allocate(size);
  std::vector<std::byte> buffer;
  for (std::uint64_t at = 0; at < size; at += buffer.size()) {
    buffer.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kImageBufferBytes, size - at)));
    read_created(image, at, buffer);
    file.write(at, buffer);
  }
}

bool repair_metadata(const hdf5::FileImage& image, File& file) {
  bool intact = true;
  std::vector<std::byte> expected, found;
  std::vector<std::pair<std::uint64_t, std::size_t>> pieces;
  for_metadata(image,
               [&](std::uint64_t offset, std::size_t size) { pieces.emplace_back(offset, size); });
  std::ranges::reverse(pieces);
  for (const auto& [offset, size] : pieces) {
    expected.resize(size);
    found.resize(size);
    image.read(offset, expected);
    file.read_all(offset, found);
    if (expected == found) continue;
    file.write(offset, expected);
    intact = false;
  }
  return intact;
}

}  // namespace gramtile
