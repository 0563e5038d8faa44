// Port: tiles of a plan that are kept, to be read again. A run's file is one (RunWriter,
// io/run/write/), memory another; a solver's factor has a store of its own kind, cut in block
// columns (engine/solve/factor_store.hpp).
//
//   compute_tiles ──write()→ TileStore ──read()→ whoever goes on with the tiles
//                                └──────StoredMatrix (a MatrixSource)→ upstream, solver
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/core/ports.hpp"
#include "engine/core/tile.hpp"
#include "engine/core/tile_content.hpp"

namespace gramtile {

/// One caller at a time.
class TileStore : public TileSink {
 public:
  virtual const TilePlan& plan() const = 0;
  virtual const TileContent& content() const = 0;

  /// Whether the tile was written, in this run or before.
  virtual bool has(Index tile) const = 0;

  /// Hands the tile, as it was written last, to `use`; what it sees is gone afterwards. Requires
  /// has(tile). TileSink::write() of a tile that is there replaces it.
  virtual void read(Index tile, const std::function<void(const TileResult&)>& use) = 0;
};

/// Keeps everything in memory.
class MemoryTileStore final : public TileStore {
 public:
  MemoryTileStore(TilePlan plan, TileContent content);

  const TilePlan& plan() const override { return plan_; }
  const TileContent& content() const override { return content_; }
  bool has(Index tile) const override;
  /// Throws Error(kOther) when the tile lacks what the content lists.
  void write(const TileResult& result) override;
  void read(Index tile, const std::function<void(const TileResult&)>& use) override;

 private:
  struct Kept {
    bool is_there = false;
    DataType data_type = DataType::kFloat64;
    std::vector<std::vector<std::byte>> planes;  ///< by group of the content
    std::vector<double> vector;
  };

  TilePlan plan_;
  TileContent content_;
  std::vector<Kept> tiles_;
};

/// One plane of a matrix of a store, for whoever asks for entries rather than tiles: of a symmetric
/// matrix both triangles; a diagonal has one column. From one thread at a time.
class StoredMatrix final : public MatrixSource {
 public:
  /// Plane `member` of the planes called `name`. All tiles of `matrix` have to be there when they
  /// are read. `store` must live as long. Throws Error(kUsage) when the store has no such planes.
  StoredMatrix(TileStore& store, Index matrix, std::string name, Index member = 0);

  Index num_rows() const override;
  Index num_columns() const override;
  /// Throws Error(kUsage) naming a tile that is not there.
  void read(Range rows, Range columns, std::span<double> values) const override;

 private:
  void copy(const TileResult& tile, bool mirrored, Range rows, Range columns,
            std::span<double> values) const;
  const MatrixSpec& spec() const;

  TileStore& store_;
  Index matrix_;
  std::string name_;
  Index member_;
  Index block_columns_ = 1;
  std::vector<Index> tile_at_;  ///< [block row, block column], −1 below the diagonal
};

}  // namespace gramtile
