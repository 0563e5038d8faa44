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
#include "io/run/run_file.hpp"
#include "io/run/run_spec.hpp"

namespace gramtile {

class NumberMatrix;

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

  /// The tile as it is stored (io/run/tile_map.hpp); its hash is actual_hash().
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

/// Reads a matrix of the caller once, in row blocks: refuses entries that are not finite with a
/// DataError naming `name`, and gives the hash that a file of the same numbers has
/// (MatrixUpstream::check_and_hash).
std::string check_and_hash(UpstreamSource& matrix, Index num_rows, Index num_columns,
                           const std::string& name);

/// ∂L/∂K from a matrix of numbers in an HDF5, .npy or .npz file, read tile by tile.
class MatrixUpstream final : public UpstreamSource {
 public:
  /// Throws DataError when it is not [num_rows, num_columns] of numbers.
  MatrixUpstream(const std::string& file, const std::string& dataset, Index num_rows,
                 Index num_columns);
  ~MatrixUpstream() override;

  /// Throws DataError naming the first index whose value is not finite.
  void read(Range rows, Range columns, std::span<double> values) override;
  /// What reading takes beside the tile [bytes]: a compressed chunk is unpacked whole.
  std::size_t working_bytes() const;
  /// Reads everything once: refuses values that are not finite before hours of work, and gives the
  /// hash for RunSpec::upstream_hash.
  std::string check_and_hash();

 private:
  std::unique_ptr<NumberMatrix> matrix_;
};

/// ∂L/∂K = U·Vᵀ from two matrices, U [num_rows, r] and V [num_columns, r]; the product is made tile
/// by tile and never exists as a whole.
class FactorUpstream final : public UpstreamSource {
 public:
  /// Throws DataError for other shapes or unequal ranks.
  FactorUpstream(const std::string& u_file, const std::string& u_dataset, const std::string& v_file,
                 const std::string& v_dataset, Index num_rows, Index num_columns);
  ~FactorUpstream() override;

  /// Reads the rows of U and V that it needs; throws DataError for values that are not finite.
  void read(Range rows, Range columns, std::span<double> values) override;
  /// What reading tiles of `tile_size` takes beside the tile [bytes]: the rows of both factors that
  /// a tile needs are held, and compressed chunks unpacked whole.
  std::size_t working_bytes(Index tile_size) const;
  /// Reads both once, like MatrixUpstream's.
  std::string check_and_hash();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace gramtile
