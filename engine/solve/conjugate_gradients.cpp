#include "engine/solve/conjugate_gradients.hpp"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "engine/core/worst_of.hpp"
#include "engine/solve/kernel_solver.hpp"
#include "engine/solve/pivoted_cholesky.hpp"
#include "engine/solve/solve_context.hpp"
#include "engine/solve/symmetric_product.hpp"

namespace gramtile {
namespace {

using Vector = std::span<double>;

double dot(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

/// `kernel`, where the diagonal of K̃ is positive.
const SymmetricSource& checked(const SymmetricSource& kernel, const KernelFacts& facts,
                               double jitter) {
  for (std::size_t i = 0; i < facts.diagonal.size(); ++i) {
    const double pivot = facts.diagonal[i] + jitter;
    if (!(pivot > 0)) throw NotPositiveDefinite({static_cast<Index>(i), pivot}, jitter);
  }
  return kernel;
}

/// One right-hand side on its way.
struct Column {
  int exponent = 0;  ///< y is solved for as y·2^−exponent, so that no square over- or underflows
  double norm = 0;   ///< ‖y‖, of that
  double residual = 1;     ///< ‖y − K̃·x‖/‖y‖, recomputed
  double rho = 0;          ///< rᵀ·M⁻¹·r
  double carried = 1;      ///< ‖r‖/‖y‖ as the recurrence has it
  double halved_from = 1;  ///< what it was when it was halved last, in iteration `halved_at`
  Index halved_at = 0;
  bool runs = false;   ///< in the present run of iterations
  bool ended = false;  ///< within the tolerance, or stalled
  std::optional<double> curvature = {};
};

/// Right-hand sides that are solved together: y(i, c), and the memory for them.
class Group {
 public:
  using RightSides = std::function<double(Index i, Index c)>;

  Group(RightSides y, Index size, Index num_columns, SymmetricProduct& product,
        const PivotedCholesky& preconditioner, const IterationOptions& options,
        SolveContext& context)
      : y_(std::move(y)),
        size_(size),
        columns_(as_size(num_columns)),
        product_(product),
        preconditioner_(preconditioner),
        options_(options),
        context_(context) {
    for (std::vector<double>* v : {&x_, &r_, &p_, &q_, &best_})
      v->resize(as_size(size * num_columns));
  }

  void solve(IterationReport& report) {
    for_columns([&](Index c, Column& column) {
      double largest = 0;
      for (Index i = 0; i < size_; ++i) largest = worst_of(largest, std::abs(y_(i, c)));
      if (largest > 0 && std::isfinite(largest)) column.exponent = std::ilogb(largest);
      const Vector r = of(r_, c);
      for (Index i = 0; i < size_; ++i) r[as_size(i)] = scaled(i, c);
      column.norm = std::sqrt(dot(r, r));
      column.ended = !(column.norm > 0);
      if (column.ended) column.residual = column.norm;  // 0, or NaN
    });
    while (std::ranges::any_of(columns_, [](const Column& c) { return !c.ended; })) {
      iterate(report);
      recompute();
      ++report.num_passes;
    }
    for (const Column& column : columns_) {
      report.residuals.push_back(column.residual);
      if (!report.curvature) report.curvature = column.curvature;
    }
  }

  /// Entry i of column c of the solution.
  double solution(Index i, Index c) const {
    return std::ldexp(best_[as_size(c * size_ + i)], columns_[as_size(c)].exponent);
  }

 private:
  /// From x and r = y − K̃·x on, until each column that has not ended is within the tolerance as the
  /// recurrence has it, or gets nowhere.
  void iterate(IterationReport& report) {
    for (Column& column : columns_) {
      column.runs = !column.ended;
      column.rho = 0;
      column.carried = column.halved_from = column.residual;
      column.halved_at = report.num_iterations;
    }
    while (std::ranges::any_of(columns_, [](const Column& c) { return c.runs; })) {
      choose_directions();
      product_.multiply(p_, num_columns(), q_);
      ++report.num_passes;
      ++report.num_iterations;
      for_columns([&](Index c, Column& column) {
        if (column.runs) advance(c, column, report.num_iterations);
      });
      if (options_.on_iteration) options_.on_iteration(report.num_iterations, largest_carried());
    }
  }

  // z = M⁻¹·r, β = rᵀ·z / (rᵀ·z before), p = z + β·p. z lies in q.
  void choose_directions() {
    preconditioner_.apply(r_, num_columns(), q_);
    for_columns([&](Index c, Column& column) {
      if (!column.runs) return;
      const Vector z = of(q_, c), p = of(p_, c);
      const double rho = dot(of(r_, c), z);
      const double beta = column.rho > 0 ? rho / column.rho : 0;
      column.rho = rho;
      for (std::size_t i = 0; i < p.size(); ++i) p[i] = z[i] + beta * p[i];
    });
  }

  // α = rᵀ·z / pᵀ·K̃·p, x + α·p, r − α·K̃·p.
  void advance(Index c, Column& column, Index iteration) {
    const Vector p = of(p_, c), kp = of(q_, c), x = of(x_, c), r = of(r_, c);
    const double curvature = dot(p, kp), alpha = column.rho / curvature;
    if (!(curvature > 0) || !(alpha > 0) || !std::isfinite(alpha)) {
      column.runs = false;
      if (curvature <= 0) column.curvature = curvature / dot(p, p);
      return;
    }
    for (std::size_t i = 0; i < p.size(); ++i) {
      x[i] += alpha * p[i];
      r[i] -= alpha * kp[i];
    }
    column.carried = std::sqrt(dot(r, r)) / column.norm;
    if (column.carried <= column.halved_from / 2) {
      column.halved_from = column.carried;
      column.halved_at = iteration;
    }
    column.runs =
        column.carried > options_.tolerance && iteration - column.halved_at < options_.patience;
  }

  // r = y − K̃·x. A column whose residual was not halved since the last time has stalled; what it
  // had then stays its solution when that was better.
  void recompute() {
    product_.multiply(x_, num_columns(), q_);
    for_columns([&](Index c, Column& column) {
      if (!(column.norm > 0)) return;
      const Vector r = of(r_, c), kx = of(q_, c);
      for (Index i = 0; i < size_; ++i) r[as_size(i)] = scaled(i, c) - kx[as_size(i)];
      const double residual = std::sqrt(dot(r, r)) / column.norm;
      column.ended = residual <= options_.tolerance || !(residual <= column.residual / 2);
      if (residual <= column.residual) {
        column.residual = residual;
        std::ranges::copy(of(x_, c), of(best_, c).begin());
      }
    });
  }

  double largest_carried() const {
    double largest = 0;
    for (const Column& column : columns_) {
      if (!column.ended) largest = worst_of(largest, column.carried);
    }
    return largest;
  }

  template <typename Body>
  void for_columns(const Body& body) {
    context_.for_each(num_columns(), [&](Index c) { body(c, columns_[as_size(c)]); });
  }
  double scaled(Index i, Index c) const {
    return std::ldexp(y_(i, c), -columns_[as_size(c)].exponent);
  }
  Index num_columns() const { return static_cast<Index>(columns_.size()); }
  Vector of(std::vector<double>& values, Index c) const {
    return std::span(values).subspan(as_size(c * size_), as_size(size_));
  }

  const RightSides y_;
  const Index size_;
  std::vector<Column> columns_;
  std::vector<double> x_, r_, p_, q_, best_;  ///< [N, columns] each, column-major
  SymmetricProduct& product_;
  const PivotedCholesky& preconditioner_;
  const IterationOptions& options_;
  SolveContext& context_;
};

}  // namespace

double IterationReport::largest_residual() const {
  double largest = 0;
  for (const double residual : residuals) largest = worst_of(largest, residual);
  return largest;
}

bool IterationReport::is_within(double tolerance) const { return largest_residual() <= tolerance; }

struct ConjugateGradients::Impl {
  IterationOptions options;
  Index size;
  mutable SolveContext context;
  mutable SymmetricProduct product;
  PivotedCholesky preconditioner;

  Impl(const SymmetricSource& kernel, const KernelFacts& facts, double jitter,
       const IterationOptions& iteration, const SolverOptions& solver)
      : options(iteration),
        size(kernel.size()),
        context(solver),
        product(kernel, jitter, context),
        preconditioner(checked(kernel, facts, jitter), facts, jitter, iteration.rank, context) {}
};

ConjugateGradients::ConjugateGradients(const SymmetricSource& kernel, double jitter,
                                       const IterationOptions& iteration,
                                       const SolverOptions& options) {
  SolveContext context(options);
  *this = ConjugateGradients(kernel, examine(kernel, context), jitter, iteration, options);
}

ConjugateGradients::ConjugateGradients(const SymmetricSource& kernel, const KernelFacts& facts,
                                       double jitter, const IterationOptions& iteration,
                                       const SolverOptions& options)
    : impl_(std::make_unique<Impl>(kernel, facts, jitter, iteration, options)) {}

ConjugateGradients::~ConjugateGradients() = default;
ConjugateGradients::ConjugateGradients(ConjugateGradients&&) noexcept = default;
ConjugateGradients& ConjugateGradients::operator=(ConjugateGradients&&) noexcept = default;

Index ConjugateGradients::size() const { return impl_->size; }

IterationReport ConjugateGradients::solve(std::span<double> values, Index num_columns) const {
  IterationReport report;
  report.rank = impl_->preconditioner.rank();
  for (Index first = 0; first < num_columns; first += kMostColumns) {
    const Index count = std::min(kMostColumns, num_columns - first);
    const auto at = [&](Index i, Index c) { return as_size(i * num_columns + first + c); };
    Group group([&](Index i, Index c) { return values[at(i, c)]; }, size(), count, impl_->product,
                impl_->preconditioner, impl_->options, impl_->context);
    group.solve(report);
    for (Index c = 0; c < count; ++c) {
      for (Index i = 0; i < size(); ++i) values[at(i, c)] = group.solution(i, c);
    }
  }
  return report;
}

// x, r, p, q, the best x, the product's parts; the factor and its small one; some vectors.
double ConjugateGradients::num_bytes(Index size, Index num_columns, Index rank) {
  const auto n = static_cast<double>(size), k = static_cast<double>(rank);
  const auto columns = static_cast<double>(std::min(num_columns, kMostColumns));
  return 8 * (n * (6 * columns + k + 8) + k * (k + columns));
}

}  // namespace gramtile
