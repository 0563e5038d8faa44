// The seal of a run's file: hashes over everything in it that is not a tile, in the dataset `seal`
// near the file's beginning, where it is found without the HDF5 library. Tiles have hashes of their
// own (`tile_hash`), which the seal covers. So a flipped bit anywhere is known before the library,
// whose heaps and attributes carry no checksum, sees the file. docs/file_format.md has the words.
//
//   frame        all bytes outside the regions below: attributes, lists, labels, HDF5's structure
//   tiles        regions of computed tiles: not hashed here
//   conclusion   `gradient`, `tile_hash`, `complete`: written when a run is finished
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "io/files/file.hpp"
#include "io/hdf5/file_builder.hpp"
#include "io/run/spec/run_spec.hpp"

namespace gramtile {

enum class RegionKind : std::uint64_t { kTiles = 1, kConclusion = 2, kSeal = 3 };

struct SealedRegion {
  RegionKind kind = RegionKind::kTiles;
  std::uint64_t offset = 0, num_bytes = 0;

  bool operator==(const SealedRegion&) const = default;
};

struct Seal {
  std::uint64_t file_bytes = 0;
  std::uint64_t library_version = 0;  ///< of HDF5: major · 2³² + minor · 2¹⁶ + release
  std::string frame, conclusion;      ///< XXH3-128, 32 hexadecimal digits
  std::vector<SealedRegion> regions;  ///< ascending, apart from each other
  std::uint64_t num_words = 0;        ///< of the dataset

  const SealedRegion& own_region() const;
};

inline constexpr const char* kSealName = "seal";

/// Extent of the dataset `seal`, enough for every region that a run of this kind can have.
Index num_seal_words(const RunSpec& spec);

/// The seal of the file of `spec` that was just created as `image`: nothing concluded.
Seal seal_of(const hdf5::FileImage& image, const RunSpec& spec);

/// Finds the seal in the first 64 KiB. Empty when there is none that is whole.
std::optional<Seal> find_seal(const File& file);
void write_seal(const Seal& seal, File& file);

/// Why the file is not what was sealed, "" when it is. Reads everything but tiles.
std::string seal_problem(const Seal& seal, const File& file);

/// Bytes that the file holds, or is to hold, in the conclusion's regions, one after another.
std::string conclusion_of(const Seal& seal, const File& file);

/// Makes the conclusion and the seal those of a file that was just created. For runs that stopped
/// in the middle of their end, and damage.
void reset_conclusion(const hdf5::FileImage& image, const Seal& seal, File& file);

}  // namespace gramtile
