// ∂L/∂K from arrays on disk, as the engine reads it: tile by tile, from one thread at a time.
#pragma once

#include <cstddef>
#include <memory>
#include <string>

#include "engine/core/ports.hpp"

namespace gramtile {

class NumberMatrix;

/// Reads a matrix of the caller once, in row blocks: refuses entries that are not finite with a
/// DataError naming `name`, and gives the hash that a file of the same numbers has
/// (MatrixUpstream::check_and_hash).
std::string check_and_hash(const MatrixSource& matrix, const std::string& name);

/// ∂L/∂K from a matrix of numbers in an HDF5, .npy or .npz file, read tile by tile.
class MatrixUpstream final : public MatrixSource {
 public:
  /// Throws DataError when it is not [num_rows, num_columns] of numbers.
  MatrixUpstream(const std::string& file, const std::string& dataset, Index num_rows,
                 Index num_columns);
  ~MatrixUpstream() override;

  /// Throws DataError naming the first index whose value is not finite.
  void read(Range rows, Range columns, std::span<double> values) const override;
  Index num_rows() const override;
  Index num_columns() const override;
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
class FactorUpstream final : public MatrixSource {
 public:
  /// Throws DataError for other shapes or unequal ranks.
  FactorUpstream(const std::string& u_file, const std::string& u_dataset, const std::string& v_file,
                 const std::string& v_dataset, Index num_rows, Index num_columns);
  ~FactorUpstream() override;

  /// Reads the rows of U and V that it needs; throws DataError for values that are not finite.
  void read(Range rows, Range columns, std::span<double> values) const override;
  Index num_rows() const override;
  Index num_columns() const override;
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
