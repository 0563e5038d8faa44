#include "io/run/spec/seal.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include "engine/core/errors.hpp"
#include "io/run/spec/content_hash.hpp"
#include "io/run/spec/run_image.hpp"
#include "io/run/spec/tile_map.hpp"

namespace gramtile {
namespace {

constexpr char kMagic[8] = {'G', 'T', 'S', 'E', 'A', 'L', '0', '1'};
constexpr std::size_t kSearchedBytes = std::size_t{64} << 10;
constexpr std::size_t kBufferBytes = std::size_t{4} << 20;
constexpr std::size_t kDigits = 32;  // of a hash
constexpr std::uint64_t kMaxWords = 1 << 12;

/// Words of the dataset, in their order; then regions of three words, zeros, and the check.
struct Head {
  char magic[8];
  std::uint64_t num_words;
  std::uint64_t offset;  ///< of this dataset
  std::uint64_t file_bytes;
  std::uint64_t library_version;
  char frame[kDigits];
  char conclusion[kDigits];
  std::uint64_t num_regions;
};
constexpr std::uint64_t kHeadWords = sizeof(Head) / 8;
constexpr std::uint64_t kRegionWords = 3;

/// Calls visit(offset, size) for the bytes [start, stop) in pieces of a buffer.
template <typename Visit>
void in_pieces(std::uint64_t start, std::uint64_t stop, const Visit& visit) {
  for (std::uint64_t at = start; at < stop; at += kBufferBytes)
    visit(at, static_cast<std::size_t>(std::min<std::uint64_t>(kBufferBytes, stop - at)));
}

/// read(offset, span) fills a span. Digest of what lies outside all regions.
template <typename Read>
std::string frame_digest(const Seal& seal, const Read& read) {
  ContentHasher hasher;
  std::vector<std::byte> buffer;
  const auto add = [&](std::uint64_t offset, std::size_t size) {
    buffer.resize(size);
    read(offset, std::span(buffer));
    hasher.add(buffer);
  };
  std::uint64_t at = 0;
  for (const SealedRegion& region : seal.regions) {
    in_pieces(at, region.offset, add);
    at = region.offset + region.num_bytes;
  }
  in_pieces(at, seal.file_bytes, add);
  return hasher.digest();
}

template <typename Read>
std::string conclusion_digest(const Seal& seal, const Read& read) {
  ContentHasher hasher;
  std::vector<std::byte> buffer;
  for (const SealedRegion& region : seal.regions) {
    if (region.kind != RegionKind::kConclusion) continue;
    in_pieces(region.offset, region.offset + region.num_bytes,
              [&](std::uint64_t offset, std::size_t size) {
                buffer.resize(size);
                read(offset, std::span(buffer));
                hasher.add(buffer);
              });
  }
  return hasher.digest();
}

/// `sum`: name of the vector's sum, which is made when a run is finished.
RegionKind kind_of(const hdf5::RawData& place, const std::string& sum) {
  if (place.dataset == kSealName) return RegionKind::kSeal;
  const bool concludes = !place.nan_type || place.dataset == sum;
  return concludes ? RegionKind::kConclusion : RegionKind::kTiles;
}

std::vector<std::uint64_t> encode(const Seal& seal) {
  Head head{};
  std::memcpy(head.magic, kMagic, sizeof kMagic);
  head.num_words = seal.num_words;
  head.offset = seal.own_region().offset;
  head.file_bytes = seal.file_bytes;
  head.library_version = seal.library_version;
  std::memcpy(head.frame, seal.frame.data(), kDigits);
  std::memcpy(head.conclusion, seal.conclusion.data(), kDigits);
  head.num_regions = seal.regions.size();
  std::vector<std::uint64_t> words(seal.num_words);
  std::memcpy(words.data(), &head, sizeof head);
  std::size_t at = kHeadWords;
  for (const SealedRegion& region : seal.regions) {
    words[at++] = static_cast<std::uint64_t>(region.kind);
    words[at++] = region.offset;
    words[at++] = region.num_bytes;
  }
  words.back() = hash64(std::as_bytes(std::span(words).first(words.size() - 1)));
  return words;
}

/// Regions in order, apart, inside the file, one of them the seal itself.
bool regions_fit(const Seal& seal, std::uint64_t own_offset) {
  std::uint64_t at = 0;
  Index num_own = 0;
  for (const SealedRegion& region : seal.regions) {
    if (region.offset < at || region.offset > seal.file_bytes ||
        region.num_bytes > seal.file_bytes - region.offset)
      return false;
    at = region.offset + region.num_bytes;
    if (region.kind < RegionKind::kTiles || region.kind > RegionKind::kSeal) return false;
    if (region.kind != RegionKind::kSeal) continue;
    ++num_own;
    if (region.offset != own_offset || region.num_bytes != seal.num_words * 8) return false;
  }
  return num_own == 1;
}

/// The seal whose magic stands at `offset`, when it is whole.
std::optional<Seal> decode(const File& file, std::uint64_t offset) {
  Head head{};
  if (file.read(offset, std::as_writable_bytes(std::span(&head, 1))) < sizeof head) return {};
  const bool plausible = head.offset == offset && head.num_words > kHeadWords &&
                         head.num_words <= kMaxWords &&
                         head.num_regions <= (head.num_words - 1 - kHeadWords) / kRegionWords;
  if (!plausible) return {};
  std::vector<std::uint64_t> words(head.num_words);
  const auto bytes = std::as_writable_bytes(std::span(words));
  if (file.read(offset, bytes) < bytes.size()) return {};
  if (words.back() != hash64(bytes.first(bytes.size() - 8))) return {};
  Seal seal{.file_bytes = head.file_bytes,
            .library_version = head.library_version,
            .frame = std::string(head.frame, kDigits),
            .conclusion = std::string(head.conclusion, kDigits),
            .regions = {},
            .num_words = head.num_words};
  for (std::size_t r = 0; r < head.num_regions; ++r) {
    const std::uint64_t* region = &words[kHeadWords + r * kRegionWords];
    seal.regions.push_back({static_cast<RegionKind>(region[0]), region[1], region[2]});
  }
  return regions_fit(seal, offset) ? std::optional(seal) : std::nullopt;
}

}  // namespace

const SealedRegion& Seal::own_region() const {
  return *std::ranges::find(regions, RegionKind::kSeal, &SealedRegion::kind);
}

Index num_seal_words(const RunSpec& spec) {
  const auto per_matrix = std::ranges::count_if(
      spec.content.planes, [&](const PlaneGroup& group) { return num_planes(spec, group) > 0; });
  const Index others = 5;  // vector's sum, tiles' vectors, tile_hash, complete, seal
  const Index regions = static_cast<Index>(spec.plan.matrices.size()) * per_matrix + others;
  return static_cast<Index>(kHeadWords) + regions * static_cast<Index>(kRegionWords) + 1;
}

Seal seal_of(const hdf5::FileImage& image, const RunSpec& spec) {
  Seal seal;
  seal.file_bytes = image.size_bytes();
  seal.library_version = hdf5::library_version();
  for (const hdf5::RawData& place : image.reserved()) {
    seal.regions.push_back({kind_of(place, spec.content.vector), place.offset, place.num_bytes});
    if (place.dataset == kSealName) seal.num_words = place.num_bytes / 8;
  }
  const auto created = [&](std::uint64_t offset, std::span<std::byte> bytes) {
    read_created(image, offset, bytes);
  };
  seal.frame = frame_digest(seal, created);
  seal.conclusion = conclusion_digest(seal, created);
  return seal;
}

std::optional<Seal> find_seal(const File& file) {
  std::vector<std::byte> bytes(kSearchedBytes);
  bytes.resize(file.read(0, bytes));
  const auto magic = std::as_bytes(std::span(kMagic));
  for (auto at = bytes.begin();; ++at) {
    at = std::search(at, bytes.end(), magic.begin(), magic.end());
    if (at == bytes.end()) return std::nullopt;
    if (auto seal = decode(file, static_cast<std::uint64_t>(at - bytes.begin()))) return seal;
  }
}

void write_seal(const Seal& seal, File& file) {
  const std::vector<std::uint64_t> words = encode(seal);
  file.write(seal.own_region().offset, std::as_bytes(std::span(words)));
}

std::string seal_problem(const Seal& seal, const File& file) {
  const auto size = static_cast<std::uint64_t>(file.status().size_bytes);
  if (size != seal.file_bytes)
    return "has " + std::to_string(size) + " bytes instead of " + std::to_string(seal.file_bytes);
  const auto read = [&](std::uint64_t offset, std::span<std::byte> bytes) {
    file.read_all(offset, bytes);
  };
  if (frame_digest(seal, read) != seal.frame)
    return "its description, lists or HDF5 structure were changed";
  if (conclusion_digest(seal, read) != seal.conclusion)
    return "its tile hashes, gradient or mark of completeness were changed";
  return "";
}

std::string conclusion_of(const Seal& seal, const File& file) {
  return conclusion_digest(seal, [&](std::uint64_t offset, std::span<std::byte> bytes) {
    file.read_all(offset, bytes);
  });
}

void reset_conclusion(const hdf5::FileImage& image, const Seal& seal, File& file) {
  const std::vector<std::uint64_t> words = encode(seal);
  std::vector<std::uint64_t> found(words.size());
  file.read_all(seal.own_region().offset, std::as_writable_bytes(std::span(found)));
  if (found == words && conclusion_of(seal, file) == seal.conclusion) return;
  std::vector<std::byte> buffer;
  for (const SealedRegion& region : seal.regions) {
    if (region.kind != RegionKind::kConclusion) continue;
    in_pieces(region.offset, region.offset + region.num_bytes,
              [&](std::uint64_t offset, std::size_t size) {
                buffer.resize(size);
                read_created(image, offset, buffer);
                file.write(offset, buffer);
              });
  }
  write_seal(seal, file);
}

}  // namespace gramtile
