// Ports: what the engine needs from the outside. io/ implements them on files; tests and library
// users on arrays. The engine calls each port from one thread at a time, but for what a port says.
// tile_store.hpp has another one: tiles that are kept and read again.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "engine/core/index.hpp"
#include "engine/core/tile.hpp"

namespace gramtile {

/// A data set, read in blocks as they are needed.
class BlockSource {
 public:
  virtual ~BlockSource() = default;

  virtual ImageShape shape() const = 0;
  virtual Index num_examples() const = 0;

  /// Writes the pixels of `examples` to `pixels`, [examples.size(), C, H, W]; uint8 sources divided
  /// by 255. Throws DataError (not readable, or a pixel that is not finite, with the image's
  /// index).
  virtual void read(Range examples, std::span<double> pixels) = 0;
};

/// Planes of one kind (tile_content.hpp).
struct TilePlane {
  std::string_view name;
  /// [rows, columns], row-major, or [P, rows, columns] where there is one for each parameter; of
  /// the result's data type. Of a diagonal tile both triangles are filled.
  std::span<const std::byte> entries;
};

/// One finished tile: what the run's TileContent lists. All spans are valid during the call only.
struct TileResult {
  Tile tile;
  DataType data_type = DataType::kFloat64;
  std::span<const TilePlane> planes;
  /// [P]: this tile's part of what is summed over tiles, its mirror image included; empty: none.
  std::span<const double> vector;

  /// Entries of the planes of that name; empty when there are none.
  std::span<const std::byte> plane(std::string_view name) const;
};

/// Where finished tiles go. Called in the order of the tile plan.
class TileSink {
 public:
  virtual ~TileSink() = default;

  /// May keep a copy and return before anything is on disk. Throws Error when the run has to end.
  virtual void write(const TileResult& result) = 0;
};

/// A matrix of numbers that is read part by part, and need not exist as a whole: K, ∂L/∂K, K⁻¹.
/// Whoever reads says from how many threads: the tile pipeline from one at a time, the solver
/// (SymmetricSource) from several.
class MatrixSource {
 public:
  virtual ~MatrixSource() = default;

  virtual Index num_rows() const = 0;
  virtual Index num_columns() const = 0;

  /// Entries `rows` × `columns` to `values`, row-major. Need not be symmetric.
  virtual void read(Range rows, Range columns, std::span<double> values) const = 0;
};

inline std::span<const std::byte> TileResult::plane(std::string_view name) const {
  for (const TilePlane& candidate : planes) {
    if (candidate.name == name) return candidate.entries;
  }
  return {};
}

}  // namespace gramtile
