#include "engine/solve/factorise.hpp"

#include <algorithm>
#include <utility>

#include "engine/solve/solve_context.hpp"

namespace gramtile {
namespace {

/// A panel on its way from K to L.
class Panel {
 public:
  Panel(FactorStore& store, SolveContext& context)
      : store_(store),
        grid_(store.grid()),
        context_(context),
        columns_(store.next_panel()),
        entries_(store.make(columns_)) {
    for (Index j = columns_.start; j < columns_.stop; ++j) {
      for (Index i = j; i < grid_.num_blocks(); ++i) tiles_.emplace_back(i, j);
    }
  }

  void read(const SymmetricSource& kernel, double jitter) {
    for_tiles(0, [&](Index i, Index j) {
      const blas::Matrix c = tile(i, j);
      // The part above the diagonal, row-major, is the tile below it, column-major.
      kernel.read(grid_.block(j), grid_.block(i),
                  {c.values, static_cast<std::size_t>(c.rows * c.columns)});
      for (Index d = 0; i == j && d < c.rows; ++d) c.values[d * (c.stride + 1)] += jitter;
    });
    context_.step(0);
  }

  /// All products with block columns that were kept.
  void subtract_kept() {
    if (store_.is_resident()) {
      for_tiles(0, [&](Index i, Index j) {
        for (Index k = 0; k < columns_.start; ++k)
          subtract(tile_of(store_, i, k, {}), tile_of(store_, j, k, {}), i, j);
      });
      context_.step(flops_of_column() * static_cast<double>(columns_.start));
      return;
    }
    for (Index k = 0; k < columns_.start; ++k) subtract_column(k);
  }

  std::optional<PivotFailure> factor(const KernelFacts& facts, double jitter) {
    for (Index j = columns_.start; j < columns_.stop; ++j) {
      if (auto failure = factor_diagonal(j, facts, jitter)) return failure;
      context_.for_each(grid_.num_blocks() - j - 1, [&](Index below) {
        blas::divide_right_transposed(as_operand(j, j), tile(j + 1 + below, j));
      });
      for_tiles(j + 1,
                [&](Index i, Index c) { subtract(as_operand(i, j), as_operand(c, j), i, c); });
      context_.step(flops_of_own_column(j));
    }
    store_.keep(columns_);
    return std::nullopt;
  }

 private:
  /// body(i, j) for every tile of the panel's block columns from `first_column` on.
  template <typename Body>
  void for_tiles(Index first_column, const Body& body) {
    const auto first = std::find_if(tiles_.begin(), tiles_.end(),
                                    [&](const auto& t) { return t.second >= first_column; });
    context_.for_each(tiles_.end() - first,
                      [&](Index t) { body(first[t].first, first[t].second); });
  }

  blas::Matrix tile(Index i, Index j) const {
    const Index rows = grid_.block(i).size();
    const auto& column = entries_[static_cast<std::size_t>(j - columns_.start)];
    return {&column[static_cast<std::size_t>(grid_.tile_offset(i, j))], rows, grid_.block(j).size(),
            rows};
  }
  blas::ConstMatrix as_operand(Index i, Index j) const {
    const blas::Matrix t = tile(i, j);
    return {t.values, t.rows, t.columns, t.stride};
  }

  /// C_ij ← C_ij − L_ik·L_jkᵀ.
  void subtract(blas::ConstMatrix l_ik, blas::ConstMatrix l_jk, Index i, Index j) const {
    if (i == j) {
      blas::subtract_square(l_ik, tile(i, j));
    } else {
      blas::subtract_product_transposed(l_ik, l_jk, tile(i, j));
    }
  }

  /// From disk: a task reads one tile of block column k and uses it for its whole row of the panel.
  void subtract_column(Index k) {
    const auto edge = static_cast<std::size_t>(grid_.edge * grid_.edge);
    pivot_rows_.resize(static_cast<std::size_t>(columns_.size()) * edge);
    const auto pivot_row = [&](Index j) {
      return std::span(pivot_rows_)
          .subspan(static_cast<std::size_t>(j - columns_.start) * edge, edge);
    };
    std::vector<blas::ConstMatrix> pivots(static_cast<std::size_t>(columns_.size()));
    context_.for_each(columns_.size(), [&](Index p) {
      const Index j = columns_.start + p;
      pivots[static_cast<std::size_t>(p)] = tile_of(store_, j, k, pivot_row(j));
    });
    context_.for_each(grid_.num_blocks() - columns_.start, [&](Index r) {
      const Index i = columns_.start + r;
      auto buffer = context_.borrow();
      const blas::ConstMatrix l_ik =
          i < columns_.stop ? pivots[static_cast<std::size_t>(r)] : tile_of(store_, i, k, *buffer);
      for (Index j = columns_.start; j < std::min(columns_.stop, i + 1); ++j)
        subtract(l_ik, pivots[static_cast<std::size_t>(j - columns_.start)], i, j);
    });
    context_.step(flops_of_column());
  }

  std::optional<PivotFailure> factor_diagonal(Index j, const KernelFacts& facts, double jitter) {
    const blas::Matrix c = tile(j, j);
    const Index start = grid_.block(j).start;
    const auto pivot_at = [&](Index d) { return c.values[d * (c.stride + 1)]; };
    const Index failed = blas::cholesky(c);
    const Index good = failed < 0 ? c.rows : failed;
    for (Index d = 0; d < good; ++d) {
      const double pivot = pivot_at(d) * pivot_at(d);
      const double diagonal = facts.diagonal[static_cast<std::size_t>(start + d)] + jitter;
      if (!(pivot > pivot_tolerance(start + d, diagonal))) return PivotFailure{start + d, pivot};
    }
    if (failed >= 0) return PivotFailure{start + failed, pivot_at(failed)};
    return std::nullopt;
  }

  /// Entries of the panel times twice a block's columns.
  double flops_of_column() const {
    double entries = 0;
    for (const auto& column : entries_) entries += static_cast<double>(column.size());
    return 2 * entries * static_cast<double>(grid_.edge);
  }
  double flops_of_own_column(Index j) const {
    double entries = static_cast<double>(grid_.column_entries(j)) / 2;
    for (Index c = j + 1; c < columns_.stop; ++c)
      entries += static_cast<double>(grid_.column_entries(c));
    return 2 * entries * static_cast<double>(grid_.block(j).size());
  }

  FactorStore& store_;
  const FactorGrid grid_;
  SolveContext& context_;
  const Range columns_;
  std::vector<std::span<double>> entries_;      // by block column of the panel
  std::vector<std::pair<Index, Index>> tiles_;  // by column, from the diagonal down
  std::vector<double> pivot_rows_;
};

}  // namespace

double pivot_tolerance(Index row, double diagonal) {
  return static_cast<double>(row + 2) * 0x1p-53 * diagonal;
}

std::optional<PivotFailure> factorise(const SymmetricSource& kernel, const KernelFacts& facts,
                                      double jitter, FactorStore& store, SolveContext& context) {
  while (store.num_kept() < store.grid().num_blocks()) {
    Panel panel(store, context);
    panel.read(kernel, jitter);
    panel.subtract_kept();
    if (const auto failure = panel.factor(facts, jitter)) return failure;
  }
  return std::nullopt;
}

double factorisation_flops(const FactorGrid& grid, Index first) {
  double flops = 0;  // a tile of block column j gets j products, and its share of the panel's
  for (Index j = first; j < grid.num_blocks(); ++j)
    flops += static_cast<double>(grid.column_entries(j)) *
             static_cast<double>(2 * grid.block(j).start + grid.block(j).size());
  return flops;
}

}  // namespace gramtile
