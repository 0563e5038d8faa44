#include <algorithm>
#include <utility>

#include "engine/solve/solve_context.hpp"
#include "engine/solve/symmetric_product.hpp"
#include "engine/train/objective.hpp"

namespace gramtile {
namespace {

// Columns of the square that are made at a time. The bits depend on it, so it does not follow the
// memory.
constexpr Index kSquareColumns = 256;

/// W·diag(h)·W into `result`, W and it [N, N].
void store_weighted_square(const SymmetricSource& w, std::span<const double> h,
                           SymmetricStore& result, const SolverOptions& options) {
  SolveContext context(options);
  SymmetricProduct product(w, 0, context);
  const Index size = w.size();
  std::vector<double> p, q, part;
  for (Index first = 0; first < size; first += kSquareColumns) {
    const Range columns{first, std::min(first + kSquareColumns, size)};
    p.assign(as_size(size * columns.size()), 0.0);
    q.resize(p.size());
    part.resize(p.size());
    // Column c of diag(h)·W from the two sides of the diagonal.
    std::vector<double> rows(as_size(columns.size() * size));
    for (Index c = columns.start; c < columns.stop; ++c)
      w.read_row(c, std::span(rows).subspan(as_size((c - first) * size), as_size(size)));
    for (Index c = 0; c < columns.size(); ++c) {
      for (Index i = 0; i < size; ++i)
        p[as_size(c * size + i)] = h[as_size(i)] * rows[as_size(c * size + i)];
    }
    product.multiply(p, columns.size(), q);
    for (Index i = 0; i < columns.stop; ++i) {
      for (Index c = 0; c < columns.size(); ++c)
        part[as_size(i * columns.size() + c)] = q[as_size(c * size + i)];
    }
    result.write({0, columns.stop}, columns,
                 std::span(part).first(as_size(columns.stop * columns.size())));
  }
}

class LeaveOneOutError final : public Objective {
 public:
  std::string_view name() const override { return "loo"; }
  std::string_view summary() const override {
    return "squared error of each image predicted by all others";
  }

  // e_ic = A_ic/d_i, d the diagonal of K̃⁻¹; L = Σ e²/(N·C). With G_ic = 2 e_ic/(N·C·d_i),
  // h_i = Σ_c 2 e_ic²/(N·C·d_i) and B = K̃⁻¹·G:
  // ∂L/∂K̃ = −½ (A·Bᵀ + B·Aᵀ) + K̃⁻¹·diag(h)·K̃⁻¹                              (38)
  ObjectiveResult evaluate(const KernelProblem& problem, MatrixRoom& room) const override {
    const Targets& y = problem.targets;
    const Index size = problem.kernel.size(), outputs = y.num_outputs;
    const double share = 2 / (static_cast<double>(size) * static_cast<double>(outputs));
    auto factored = room.factor(problem.kernel, problem.jitter);
    std::vector<double> a = coefficients(factored->solver(), y);
    auto inverse = room.make_store(size);
    store_inverse(factored->solver(), *inverse);
    std::vector<double> b(a.size()), h(as_size(size));
    ObjectiveResult result;
    for (Index i = 0; i < size; ++i) {
      double d = 0;
      inverse->read({i, i + 1}, {i, i + 1}, {&d, 1});
      for (Index c = 0; c < outputs; ++c) {
        const double e = a[as_size(i * outputs + c)] / d;
        result.value += share / 2 * e * e;
        b[as_size(i * outputs + c)] = share * e / d;
        h[as_size(i)] += share * e * e / d;
      }
    }
    factored->solver().solve(b, outputs);
    factored.reset();
    result.upstream = std::make_unique<ObjectiveUpstream>(size);
    auto square = room.make_store(size);
    store_weighted_square(*inverse, h, *square, room.options());
    result.upstream->own_matrix(std::move(square), 1);
    std::vector<double> minus_half_a = a, minus_half_b = b;
    for (double& value : minus_half_a) value *= -0.5;
    for (double& value : minus_half_b) value *= -0.5;
    result.upstream->add_factors(std::move(a), std::move(minus_half_b), outputs);
    result.upstream->add_factors(std::move(b), std::move(minus_half_a), outputs);
    return result;
  }
};

}  // namespace

std::size_t weighted_square_bytes(Index size) {
  return as_size(6 * size * std::min(size, kSquareColumns)) * sizeof(double);
}

const Objective& leave_one_out_error() {
  static const LeaveOneOutError objective;
  return objective;
}

}  // namespace gramtile
