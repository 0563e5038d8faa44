// Reads files that RunWriter made, finished or not, whole or share; and arrays on disk as the
// engine's upstream gradient.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/core/ports.hpp"
#include "io/run/spec/run_spec.hpp"
#include "io/run/spec/shard.hpp"

namespace gramtile {

/// What is known of everything in a file that is not a tile.
struct MetadataCheck {
  bool passed = true;
  std::string note;  ///< what was compared, or what is wrong
};

class RunReader {
 public:
  /// Compares the file with its seal before the HDF5 library sees it. Throws DataError when it is
  /// not a run file of this format, Error(kPartMissing) when it is not as it was sealed.
  explicit RunReader(const std::string& path);
  ~RunReader();
  RunReader(RunReader&&) noexcept;
  RunReader& operator=(RunReader&&) noexcept;

  const std::string& path() const;
  const RunSpec& spec() const;
  std::optional<Shard> shard() const;  ///< empty: a whole file
  bool complete() const;
  /// Tiles in this file: all of the plan, or the share's.
  const std::vector<Index>& tiles() const;

  /// What made a tile; "" where that is not known yet.
  std::string instruction_set(Index tile) const;

  /// Hash that was stored for a tile when the run was finished; 0 before.
  std::uint64_t stored_hash(Index tile) const;
  /// Hash of what is in the file now. Equal to stored_hash when nothing was changed.
  std::uint64_t actual_hash(Index tile) const;
  /// Rows of a tile's K, [rows, columns of the tile].
  using KernelRows = std::function<void(Range rows, std::span<const double> values)>;
  /// The same hash from pieces of a few MiB, whatever the tile's size; `on_kernel`, where it is
  /// given, gets the tile's K out of the bytes that are hashed, from the top. May be called from
  /// several threads at once.
  std::uint64_t scan(Index tile, const KernelRows& on_kernel = {}) const;
  /// True when the entries below the diagonal are the transpose of those above, bit for bit, in
  /// every dataset of this tile. Always true for shares and matrices that are not symmetric.
  bool mirror_matches(Index tile) const;

  /// Makes the file's metadata anew from its description and compares it with what is there.
  MetadataCheck check_metadata() const;

  /// The tile as it is stored (io/run/spec/tile_map.hpp); its hash is actual_hash().
  std::vector<std::byte> read_packed(Index tile) const;
  /// The planes of one name of a tile, [rows, columns] row-major, or [P, rows, columns] where there
  /// is one for each parameter. Throws DataError when the file has none.
  void read_planes(std::string_view name, Index tile, std::span<double> values) const;
  /// Entries `rows` × `columns` of a matrix of the plan (columns [0, 1) of a diagonal), row-major,
  /// wherever the tiles' edges are. Whole files alone. May be called from several threads at once.
  /// Throws DataError when the file does not hold the kernel itself.
  void read_entries(Index matrix, Range rows, Range columns, std::span<double> values) const;
  /// The vector of one tile, [P]: its part of the gradient.
  void read_tile_vector(Index tile, std::span<double> values) const;
  /// The sum of the tiles' vectors, [P]: the gradient; NaN before the run is finished, empty
  /// without.
  std::vector<double> vector() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gramtile
