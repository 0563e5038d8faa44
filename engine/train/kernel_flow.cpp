#include <utility>

#include "engine/train/objective.hpp"

namespace gramtile {
namespace {

/// Rows and columns `chosen`, ascending, of a matrix that lives as long.
class SubMatrix final : public SymmetricSource {
 public:
  SubMatrix(const SymmetricSource& whole, std::span<const Index> chosen)
      : whole_(whole), chosen_(chosen) {}

  Index size() const override { return static_cast<Index>(chosen_.size()); }
  void read(Range rows, Range columns, std::span<double> values) const override {
    const Range from_rows = span_of(rows), from_columns = span_of(columns);
    std::vector<double> part(as_size(from_rows.size() * from_columns.size()));
    whole_.read(from_rows, from_columns, part);
    std::size_t out = 0;
    for (Index i = rows.start; i < rows.stop; ++i) {
      for (Index j = columns.start; j < columns.stop; ++j) {
        values[out++] = part[as_size((chosen_[as_size(i)] - from_rows.start) * from_columns.size() +
                                     chosen_[as_size(j)] - from_columns.start)];
      }
    }
  }

 private:
  Range span_of(Range range) const {
    return {chosen_[as_size(range.start)], chosen_[as_size(range.stop - 1)] + 1};
  }

  const SymmetricSource& whole_;
  std::span<const Index> chosen_;
};

struct Fit {
  std::vector<double> coefficients;  ///< A = K̃⁻¹·Y
  double norm = 0;                   ///< tr(Yᵀ·A)
};

Fit fit(const SymmetricSource& kernel, double jitter, const Targets& targets, MatrixRoom& room) {
  const auto factored = room.factor(kernel, jitter);
  Fit result{.coefficients = coefficients(factored->solver(), targets)};
  for (std::size_t i = 0; i < targets.values.size(); ++i)
    result.norm += targets.values[i] * result.coefficients[i];
  return result;
}

class KernelFlow final : public Objective {
 public:
  std::string_view name() const override { return "kernel-flow"; }
  std::string_view summary() const override {
    return "what a random sub-batch loses of a batch's fit";
  }
  bool needs_subset() const override { return true; }

  // ρ = 1 − t_S/t_B, t = tr(Yᵀ·K̃⁻¹·Y), and, A_S filled up with zeros,
  // ∂ρ/∂K̃ = A_S·A_Sᵀ/t_B − t_S/t_B²·A_B·A_Bᵀ                                (39)
  ObjectiveResult evaluate(const KernelProblem& problem, MatrixRoom& room) const override {
    const Targets& y = problem.targets;
    const Index outputs = y.num_outputs;
    Targets part{.values = {}, .num_outputs = outputs};
    for (const Index i : problem.subset) {
      const auto row = std::span(y.values).subspan(as_size(i * outputs), as_size(outputs));
      part.values.insert(part.values.end(), row.begin(), row.end());
    }
    Fit all = fit(problem.kernel, problem.jitter, y, room);
    const SubMatrix sub(problem.kernel, problem.subset);
    const Fit some = fit(sub, problem.jitter, part, room);
    std::vector<double> u(all.coefficients.size());
    for (std::size_t k = 0; k < problem.subset.size(); ++k) {
      for (std::size_t c = 0; c < as_size(outputs); ++c)
        u[as_size(problem.subset[k] * outputs) + c] = some.coefficients[k * as_size(outputs) + c];
    }
    ObjectiveResult result{.value = 1 - some.norm / all.norm};
    result.upstream = std::make_unique<ObjectiveUpstream>(problem.kernel.size());
    std::vector<double> v = u, w = all.coefficients;
    for (double& value : v) value /= all.norm;
    for (double& value : w) value *= -some.norm / (all.norm * all.norm);
    result.upstream->add_factors(std::move(u), std::move(v), outputs);
    result.upstream->add_factors(std::move(all.coefficients), std::move(w), outputs);
    return result;
  }
};

}  // namespace

const Objective& kernel_flow() {
  static const KernelFlow objective;
  return objective;
}

}  // namespace gramtile
