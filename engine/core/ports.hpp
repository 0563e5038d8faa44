// Ports: what the engine needs from the outside. io/ implements them on files; tests and library
// users on arrays. The engine calls each port from one thread at a time.
#pragma once

#include <cstddef>
#include <span>

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

/// One finished tile. All spans are valid during the call only. Which of them are filled depends on
/// the run; an empty span means "not asked for".
struct TileResult {
  Tile tile;
  DataType data_type = DataType::kFloat64;
  /// [rows, columns], row-major, of `data_type`. Of a diagonal tile both triangles are filled.
  std::span<const std::byte> kernel;
  /// [P, rows, columns], of `data_type`: ∂K/∂θ.
  std::span<const std::byte> jacobian;
  /// [P] float64: this tile's contribution to ∂L/∂θ, its mirror image included.
  std::span<const double> gradient;
};

/// Where finished tiles go. Called in the order of the tile plan.
class TileSink {
 public:
  virtual ~TileSink() = default;

  /// May keep a copy and return before anything is on disk. Throws Error when the run has to end.
  virtual void write(const TileResult& result) = 0;
};

/// ∂L/∂K, read tile by tile.
class UpstreamSource {
 public:
  virtual ~UpstreamSource() = default;

  /// Entries `rows` × `columns` of ∂L/∂K to `values`, row-major. Need not be symmetric.
  virtual void read(Range rows, Range columns, std::span<double> values) = 0;
};

}  // namespace gramtile
