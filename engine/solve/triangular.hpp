// Solves with the factor, for many right-hand sides: L·Z = Y block column after block column,
// Lᵀ·X = Z the same way back. The factor is read once for all right-hand sides.
//
// Right-hand sides are cut into tiles of kRightColumns columns. An entry's bits depend on its own
// tile alone, not on how many are solved together, nor on the number of threads.
#pragma once

#include <algorithm>
#include <optional>
#include <span>

#include "engine/solve/factor_store.hpp"

namespace gramtile {

class SolveContext;

inline constexpr Index kRightColumns = 128;

/// [N, columns], column-major, solved in place.
struct RightSides {
  std::span<double> values;
  Index num_columns = 0;
  /// Columns of the identity, or of what is made of them: column c is 0 above row *stair + c, and
  /// above that row's block nothing of it is computed, forwards or backwards.
  std::optional<Index> stair = std::nullopt;

  Index num_tiles() const { return (num_columns + kRightColumns - 1) / kRightColumns; }
  /// The tiles [0, num_tiles_at(b)) have something in block b, of `edge` rows.
  Index num_tiles_at(Index b, Index edge) const;
};

/// Y ← L⁻¹·Y.
void solve_forward(const FactorStore& store, RightSides sides, SolveContext& context);

/// Z ← L⁻ᵀ·Z.
void solve_backward(const FactorStore& store, RightSides sides, SolveContext& context);

/// As many columns, in whole tiles, as `bytes` hold; at least one tile, at most `most` columns.
Index columns_in(std::size_t bytes, Index size, Index most);

}  // namespace gramtile
