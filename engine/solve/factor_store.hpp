// Where the tiles of a Cholesky factor are kept: L of K + jitter·I = L·Lᵀ, lower triangular, cut
// into blocks of `edge` rows and as many columns. Block columns are stored one after another, in
// each the tiles from the diagonal down, each tile column-major. Memory implements the port here
// (MemoryStore), a work file in io/solve/.
//
//   block columns   0        1        2
//                 (0,0)
//                 (1,0)    (1,1)
//                 (2,0)    (2,1)    (2,2)
//
// A panel is a range of block columns that are made together, in memory.
#pragma once

#include <span>
#include <vector>

#include "engine/core/index.hpp"
#include "engine/solve/blas.hpp"

namespace gramtile {

/// How a matrix of `size` rows is cut. The last block may be smaller.
struct FactorGrid {
  Index size = 0;
  Index edge = 1;

  Index num_blocks() const { return (size + edge - 1) / edge; }
  Range block(Index b) const { return {b * edge, (b + 1) * edge < size ? (b + 1) * edge : size}; }
  /// Of a block column: entries of all its tiles, and of those above tile (row, column) in it.
  Index column_entries(Index column) const {
    return (size - block(column).start) * block(column).size();
  }
  Index tile_offset(Index row, Index column) const {
    return (block(row).start - block(column).start) * block(column).size();
  }
  /// Entries of all block columns before this one.
  Index entries_before(Index column) const {
    const Index whole = column < num_blocks() ? column : num_blocks() - 1;
    const Index entries = edge * (whole * size - edge * (whole * (whole - 1) / 2));
    return whole == column ? entries : entries + column_entries(whole);
  }
  Index num_entries() const { return entries_before(num_blocks()); }
};

class FactorStore {
 public:
  virtual ~FactorStore() = default;

  virtual const FactorGrid& grid() const = 0;
  /// True when tile() gives memory of the store: a tile then costs nothing to be asked for again.
  virtual bool is_resident() const = 0;
  /// Block columns [0, num_kept()) are final.
  virtual Index num_kept() const = 0;

  /// The panel that is to be made next, as many block columns from num_kept() on as suit.
  virtual Range next_panel() const = 0;
  /// Memory for a panel's block columns, [column_entries] each; valid until keep() or restart().
  virtual std::vector<std::span<double>> make(Range panel) = 0;
  /// What is in the memory that make() gave is final.
  virtual void keep(Range panel) = 0;
  /// Everything that was kept goes.
  virtual void restart() = 0;

  /// A tile of a block column that was kept: memory of the store, or `buffer`, [edge²], filled.
  /// May be called from several threads at once, each with a buffer of its own.
  virtual const double* tile(Index row, Index column, std::span<double> buffer) const = 0;
};

/// All of it in memory: N·(N + edge)/2 numbers.
class MemoryStore final : public FactorStore {
 public:
  explicit MemoryStore(FactorGrid grid);

  /// Bytes that a store of this grid takes.
  static double num_bytes(const FactorGrid& grid) {
    return 8.0 * static_cast<double>(grid.num_entries());
  }

  const FactorGrid& grid() const override { return grid_; }
  bool is_resident() const override { return true; }
  Index num_kept() const override { return num_kept_; }
  Range next_panel() const override;
  std::vector<std::span<double>> make(Range panel) override;
  void keep(Range panel) override { num_kept_ = panel.stop; }
  void restart() override { num_kept_ = 0; }
  const double* tile(Index row, Index column, std::span<double> buffer) const override;

 private:
  FactorGrid grid_;
  std::vector<double> entries_;
  Index num_kept_ = 0;
};

}  // namespace gramtile
