#include <algorithm>
#include <cmath>
#include <utility>

#include "engine/train/objective.hpp"

namespace gramtile {
namespace {

constexpr Index kRowsAtOnce = 64;

struct Products {
  double with_targets = 0;  ///< ⟨K, Y·Yᵀ⟩
  double with_itself = 0;   ///< ⟨K, K⟩
};

/// One pass over the upper half of K, in a fixed order.
Products products(const SymmetricSource& kernel, const Targets& y) {
  Products result;
  std::vector<double> part;
  const Index size = kernel.size(), outputs = y.num_outputs;
  for (Index first = 0; first < size; first += kRowsAtOnce) {
    const Range rows{first, std::min(first + kRowsAtOnce, size)}, columns{first, size};
    part.resize(as_size(rows.size() * columns.size()));
    kernel.read(rows, columns, part);
    for (Index i = rows.start; i < rows.stop; ++i) {
      for (Index j = i; j < size; ++j) {
        const double k = part[as_size((i - first) * columns.size() + j - first)];
        double yy = 0;
        for (Index c = 0; c < outputs; ++c)
          yy += y.values[as_size(i * outputs + c)] * y.values[as_size(j * outputs + c)];
        const double times = i == j ? 1 : 2;
        result.with_targets += times * k * yy;
        result.with_itself += times * k * k;
      }
    }
  }
  return result;
}

/// ‖Y·Yᵀ‖ = ‖Yᵀ·Y‖, the small one of the two.
double norm_of_square(const Targets& y) {
  const auto outputs = as_size(y.num_outputs);
  double sum = 0;
  for (std::size_t a = 0; a < outputs; ++a) {
    for (std::size_t b = 0; b < outputs; ++b) {
      double entry = 0;
      for (std::size_t i = 0; i < y.values.size(); i += outputs)
        entry += y.values[i + a] * y.values[i + b];
      sum += entry * entry;
    }
  }
  return std::sqrt(sum);
}

class Alignment final : public Objective {
 public:
  std::string_view name() const override { return "alignment"; }
  std::string_view summary() const override {
    return "1 − cosine between K and Y·Yᵀ; no solve, no noise";
  }

  // L = 1 − ⟨K, Y·Yᵀ⟩/(‖K‖·‖Y·Yᵀ‖), ∂L/∂K = ⟨K, Y·Yᵀ⟩/(‖K‖³·‖Y·Yᵀ‖)·K − Y·Yᵀ/(‖K‖·‖Y·Yᵀ‖)   (40)
  ObjectiveResult evaluate(const KernelProblem& problem, MatrixRoom&) const override {
    const Products found = products(problem.kernel, problem.targets);
    const double k = std::sqrt(found.with_itself), y = norm_of_square(problem.targets);
    ObjectiveResult result{.value = 1 - found.with_targets / (k * y), .sees_jitter = false};
    result.upstream = std::make_unique<ObjectiveUpstream>(problem.kernel.size());
    result.upstream->set_matrix(problem.kernel, found.with_targets / (k * k * k * y));
    std::vector<double> v = problem.targets.values;
    for (double& value : v) value *= -1 / (k * y);
    result.upstream->add_factors(problem.targets.values, std::move(v), problem.targets.num_outputs);
    return result;
  }
};

}  // namespace

const Objective& alignment() {
  static const Alignment objective;
  return objective;
}

}  // namespace gramtile
