#include <cmath>
#include <numbers>
#include <utility>

#include "engine/train/objective.hpp"

namespace gramtile {
namespace {

class Nlml final : public Objective {
 public:
  std::string_view name() const override { return "nlml"; }
  std::string_view summary() const override { return "negative log marginal likelihood"; }

  // L = [½ tr(Yᵀ·A) + ½ C log det K̃ + ½ C·N log 2π]/(C·N), A = K̃⁻¹·Y, and
  // ∂L/∂K̃ = ½ (C·K̃⁻¹ − A·Aᵀ)/(C·N)                                      (37)
  ObjectiveResult evaluate(const KernelProblem& problem, MatrixRoom& room) const override {
    const Targets& y = problem.targets;
    const Index size = problem.kernel.size();
    const auto n = static_cast<double>(size), c = static_cast<double>(y.num_outputs);
    const auto factored = room.factor(problem.kernel, problem.jitter);
    std::vector<double> a = coefficients(factored->solver(), y);
    ObjectiveResult result;
    result.value = -log_marginal_likelihood(y, a, factored->solver().log_determinant()) / (c * n);
    result.upstream = std::make_unique<ObjectiveUpstream>(size);
    auto inverse = room.make_store(size);
    store_inverse(factored->solver(), *inverse);
    result.upstream->own_matrix(std::move(inverse), 0.5 / n);
    std::vector<double> scaled = a;
    for (double& value : scaled) value *= -0.5 / (c * n);
    result.upstream->add_factors(std::move(a), std::move(scaled), y.num_outputs);
    return result;
  }
};

}  // namespace

const Objective& nlml() {
  static const Nlml objective;
  return objective;
}

}  // namespace gramtile
