#include "engine/solve/triangular.hpp"

#include "engine/solve/solve_context.hpp"

namespace gramtile {
namespace {

class Sweep {
 public:
  Sweep(const FactorStore& store, RightSides sides, SolveContext& context)
      : store_(store), grid_(store.grid()), sides_(sides), context_(context) {}

  void forward() {
    for (Index k = first_block(); k < grid_.num_blocks(); ++k) {
      divide(k, blas::divide_left);
      const Index below = grid_.num_blocks() - k - 1;
      // Y_i ← Y_i − L_ik·Z_k: tasks are rows, and in memory rows and tiles of right-hand sides.
      const Index tiles = tiles_at(k), parts = store_.is_resident() ? tiles : 1;
      context_.for_each(below * parts, [&](Index task) {
        const Index i = k + 1 + task / parts;
        auto buffer = context_.borrow();
        const blas::ConstMatrix l = tile_of(store_, i, k, *buffer);
        const Index first = task % parts, last = parts > 1 ? first + 1 : tiles;
        for (Index t = first; t < last; ++t)
          blas::subtract_product(l, as_operand(side(k, t)), side(i, t));
      });
      report(k);
    }
  }

  void backward() {
    for (Index k = grid_.num_blocks() - 1; k >= first_block(); --k) {
      subtract_below(k);
      divide(k, blas::divide_left_transposed);
      report(k);
    }
  }

 private:
  /// Z_k ← Z_k − Σ_i L_ikᵀ·X_i, i from k + 1 on, one after another.
  void subtract_below(Index k) {
    const Index num_blocks = grid_.num_blocks();
    if (store_.is_resident()) {
      context_.for_each(tiles_at(k), [&](Index t) {
        for (Index i = k + 1; i < num_blocks; ++i)
          blas::subtract_transposed_product(tile_of(store_, i, k, {}), as_operand(side(i, t)),
                                            side(k, t));
      });
      return;
    }
    auto buffer = context_.borrow();
    for (Index i = k + 1; i < num_blocks; ++i) {
      const blas::ConstMatrix l = tile_of(store_, i, k, *buffer);
      context_.for_each(tiles_at(k), [&](Index t) {
        blas::subtract_transposed_product(l, as_operand(side(i, t)), side(k, t));
      });
    }
  }

  template <typename Divide>
  void divide(Index k, const Divide& by) {
    auto buffer = context_.borrow();
    const blas::ConstMatrix l = tile_of(store_, k, k, *buffer);
    context_.for_each(tiles_at(k), [&](Index t) { by(l, side(k, t)); });
  }

  Index first_block() const { return sides_.stair.value_or(0) / grid_.edge; }
  Index tiles_at(Index b) const { return sides_.num_tiles_at(b, grid_.edge); }

  /// Rows of block b in tile t of the right-hand sides.
  blas::Matrix side(Index b, Index t) const {
    const Index first = t * kRightColumns;
    const Range rows = grid_.block(b);
    return {&sides_.values[static_cast<std::size_t>(first * grid_.size + rows.start)], rows.size(),
            std::min(kRightColumns, sides_.num_columns - first), grid_.size};
  }
  static blas::ConstMatrix as_operand(blas::Matrix m) {
    return {m.values, m.rows, m.columns, m.stride};
  }

  void report(Index k) const {
    context_.step(2 * static_cast<double>(grid_.column_entries(k)) *
                  static_cast<double>(std::min(tiles_at(k) * kRightColumns, sides_.num_columns)));
  }

  const FactorStore& store_;
  const FactorGrid grid_;
  const RightSides sides_;
  SolveContext& context_;
};

}  // namespace

Index RightSides::num_tiles_at(Index b, Index edge) const {
  if (!stair) return num_tiles();
  const Index columns = std::clamp((b + 1) * edge - *stair, Index{0}, num_columns);
  return (columns + kRightColumns - 1) / kRightColumns;
}

void solve_forward(const FactorStore& store, RightSides sides, SolveContext& context) {
  Sweep(store, sides, context).forward();
}

void solve_backward(const FactorStore& store, RightSides sides, SolveContext& context) {
  Sweep(store, sides, context).backward();
}

Index columns_in(std::size_t bytes, Index size, Index most) {
  const Index fit = static_cast<Index>(bytes / 8) / std::max<Index>(size, 1);
  const Index whole = std::max(fit / kRightColumns, Index{1}) * kRightColumns;
  return std::min(whole, most);
}

}  // namespace gramtile
