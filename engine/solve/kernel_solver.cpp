#include "engine/solve/kernel_solver.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <optional>

#include "engine/solve/norm_estimate.hpp"
#include "engine/solve/solve_context.hpp"
#include "engine/solve/triangular.hpp"

namespace gramtile {
namespace {

double square_sum(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value * value;
  return sum;
}

}  // namespace

NotPositiveDefinite::NotPositiveDefinite(PivotFailure failure_, double jitter_)
    : Error(ErrorKind::kOther,
            fmt::format("K + {:g}·I is not positive definite: pivot {} is {:.3g}", jitter_,
                        failure_.index, failure_.pivot)),
      failure(failure_),
      jitter(jitter_) {}

struct KernelSolver::Impl {
  mutable SolveContext context;
  std::unique_ptr<FactorStore> own_store;
  FactorStore& store;
  const FactorGrid grid;
  double jitter = 0, norm = 0;

  Impl(const SymmetricSource& kernel, double j, const SolverOptions& options)
      : context(options),
        own_store(std::make_unique<MemoryStore>(FactorGrid{kernel.size(), options.edge})),
        store(*own_store),
        grid(store.grid()) {
    factor(kernel, examine(kernel, context), j);
  }
  Impl(const SymmetricSource& kernel, const KernelFacts& facts, double j, FactorStore& given,
       const SolverOptions& options)
      : context(options), store(given), grid(given.grid()) {
    factor(kernel, facts, j);
  }

  void factor(const SymmetricSource& kernel, const KernelFacts& facts, double j) {
    jitter = j;
    norm = facts.norm(j);
    if (const auto failure = factorise(kernel, facts, j, store, context))
      throw NotPositiveDefinite(*failure, j);
  }

  /// Columns of the identity that belong to the blocks [first, last), column-major, [N, columns].
  std::vector<double> identity(Index first, Index last) const {
    const Index start = grid.block(first).start, stop = grid.block(last - 1).stop;
    std::vector<double> columns(as_size(grid.size * (stop - start)));
    for (Index c = start; c < stop; ++c) columns[as_size((c - start) * grid.size + c)] = 1;
    return columns;
  }

  /// body(first, last) for groups of block columns whose right-hand sides fit the memory; block by
  /// block where not even one does.
  template <typename Body>
  void for_groups(const Body& body) const {
    const Index columns = columns_in(context.options().memory_bytes, grid.size, grid.size);
    const Index blocks = std::max<Index>(columns / grid.edge, 1);
    for (Index first = 0; first < grid.num_blocks(); first += blocks)
      body(first, std::min(first + blocks, grid.num_blocks()));
  }

  /// A tile of the inverse out of its columns [N, …], which begin with column `start`.
  void deliver(Range rows, Range columns, Index start, std::span<const double> values,
               const InverseSink& sink) const {
    std::vector<double> tile(as_size(rows.size() * columns.size()));
    for (Index i = rows.start; i < rows.stop; ++i) {
      for (Index j = columns.start; j < columns.stop; ++j) {
        const Index low = std::max(i, j), high = rows == columns ? std::min(i, j) : j;
        tile[as_size((i - rows.start) * columns.size() + j - columns.start)] =
            values[as_size((high - start) * grid.size + low)];
      }
    }
    sink(rows, columns, tile);
  }
};

KernelSolver::KernelSolver(const SymmetricSource& kernel, double jitter,
                           const SolverOptions& options)
    : impl_(std::make_unique<Impl>(kernel, jitter, options)) {}

KernelSolver::KernelSolver(std::span<const double> kernel, Index size, double jitter,
                           const SolverOptions& options)
    : KernelSolver(ArrayMatrix(kernel, size), jitter, options) {}

KernelSolver::KernelSolver(const SymmetricSource& kernel, const KernelFacts& facts, double jitter,
                           FactorStore& store, const SolverOptions& options)
    : impl_(std::make_unique<Impl>(kernel, facts, jitter, store, options)) {}

KernelSolver::~KernelSolver() = default;
KernelSolver::KernelSolver(KernelSolver&&) noexcept = default;

Index KernelSolver::size() const { return impl_->grid.size; }
double KernelSolver::jitter() const { return impl_->jitter; }

double KernelSolver::log_determinant() const {
  double sum = 0;
  auto buffer = impl_->context.borrow();
  for (Index b = 0; b < impl_->grid.num_blocks(); ++b) {
    const blas::ConstMatrix l = tile_of(impl_->store, b, b, *buffer);
    for (Index d = 0; d < l.rows; ++d) sum += std::log(l.values[d * (l.stride + 1)]);
  }
  return 2 * sum;
}

void KernelSolver::solve(std::span<double> values, Index num_columns) const {
  const Index n = size();
  std::vector<double> columns(values.size());
  for (Index i = 0; i < n; ++i) {
    for (Index c = 0; c < num_columns; ++c)
      columns[as_size(c * n + i)] = values[as_size(i * num_columns + c)];
  }
  const RightSides sides{columns, num_columns};
  solve_forward(impl_->store, sides, impl_->context);
  solve_backward(impl_->store, sides, impl_->context);
  for (Index i = 0; i < n; ++i) {
    for (Index c = 0; c < num_columns; ++c)
      values[as_size(i * num_columns + c)] = columns[as_size(c * n + i)];
  }
}

// rᵀ·K̃⁻¹·r = ‖L⁻¹·r‖².
std::vector<double> KernelSolver::quadratic_forms(std::span<double> rows, Index num_rows) const {
  std::vector<double> forms;
  solve_forward(impl_->store, {rows, num_rows}, impl_->context);
  for (Index r = 0; r < num_rows; ++r)
    forms.push_back(square_sum(rows.subspan(as_size(r * size()), as_size(size()))));
  return forms;
}

// [K̃⁻¹]_ii = ‖L⁻¹·e_i‖²: column i of L⁻¹, which begins in its row i.
std::vector<double> KernelSolver::inverse_diagonal() const {
  std::vector<double> diagonal;
  impl_->for_groups([&](Index first, Index last) {
    std::vector<double> columns = impl_->identity(first, last);
    const Index n = size(), num_columns = static_cast<Index>(columns.size()) / n;
    solve_forward(impl_->store, {columns, num_columns, impl_->grid.block(first).start},
                  impl_->context);
    for (Index c = 0; c < num_columns; ++c)
      diagonal.push_back(square_sum(std::span(columns).subspan(as_size(c * n), as_size(n))));
  });
  return diagonal;
}

double KernelSolver::inverse_diagonal_flops(const FactorGrid& grid) {
  double flops = 0;  // block column k meets the columns of the identity up to its own
  for (Index k = 0; k < grid.num_blocks(); ++k)
    flops +=
        2 * static_cast<double>(grid.column_entries(k)) * static_cast<double>(grid.block(k).stop);
  return flops;
}

void KernelSolver::inverse_tiles(const InverseSink& sink) const {
  const FactorGrid& grid = impl_->grid;
  impl_->for_groups([&](Index first, Index last) {
    std::vector<double> columns = impl_->identity(first, last);
    const Index start = grid.block(first).start;
    const RightSides sides{columns, static_cast<Index>(columns.size()) / grid.size, start};
    solve_forward(impl_->store, sides, impl_->context);
    solve_backward(impl_->store, sides, impl_->context);
    for (Index j = first; j < last; ++j) {
      for (Index i = j; i < grid.num_blocks(); ++i)
        impl_->deliver(grid.block(i), grid.block(j), start, columns, sink);
    }
  });
}

double KernelSolver::condition_estimate() const {
  const double inverse_norm = estimate_norm(size(), [&](std::vector<double>& x) { solve(x, 1); });
  return impl_->norm * inverse_norm;
}

}  // namespace gramtile
