#include <algorithm>
#include <cmath>

#include "engine/core/errors.hpp"
#include "engine/core/worst_of.hpp"
#include "engine/train/optimiser.hpp"

namespace gramtile {
namespace {

constexpr double kBeta1 = 0.9, kBeta2 = 0.999, kEpsilon = 1e-8;

class Adam final : public Optimiser {
 public:
  Adam(Index num_parameters, const OptimiserOptions& options)
      : options_(options), mean_(static_cast<std::size_t>(num_parameters)), square_(mean_.size()) {}

  std::string_view name() const override { return "adam"; }

  StepReport step(const Function& function, std::span<double> point) override {
    const Evaluation here = function(point);
    StepReport report{.value = here.value, .num_evaluations = 1, .by_coordinate = here.gradient};
    for (const double g : here.gradient) report.gradient = worst_of(report.gradient, std::abs(g));
    if (!std::isfinite(here.value) || !std::isfinite(report.gradient)) {
      report.end = StepEnd::kStuck;
      return report;
    }
    if (report.gradient <= options_.tolerance * (1 + std::abs(here.value))) {
      report.end = StepEnd::kConverged;
      return report;
    }
    num_steps_ += 1;
    const double mean_share = 1 - std::pow(kBeta1, num_steps_);
    const double square_share = 1 - std::pow(kBeta2, num_steps_);
    for (std::size_t i = 0; i < point.size(); ++i) {
      const double g = here.gradient[i];
      mean_[i] = kBeta1 * mean_[i] + (1 - kBeta1) * g;
      square_[i] = kBeta2 * square_[i] + (1 - kBeta2) * g * g;
      const double full = options_.learning_rate * (mean_[i] / mean_share) /
                          (std::sqrt(square_[i] / square_share) + kEpsilon);
      const double change = std::clamp(full, -options_.max_step, options_.max_step);
      point[i] -= change;
      report.length = worst_of(report.length, std::abs(change));
    }
    return report;
  }

  std::vector<double> state() const override {
    std::vector<double> result{num_steps_};
    result.insert(result.end(), mean_.begin(), mean_.end());
    result.insert(result.end(), square_.begin(), square_.end());
    return result;
  }

  void restore(std::span<const double> state) override {
    if (state.size() != 1 + 2 * mean_.size()) {
      throw Error(ErrorKind::kOther, "the state of the optimiser is of another network");
    }
    num_steps_ = state[0];
    std::ranges::copy(state.subspan(1, mean_.size()), mean_.begin());
    std::ranges::copy(state.subspan(1 + mean_.size()), square_.begin());
  }

 private:
  const OptimiserOptions options_;
  double num_steps_ = 0;
  std::vector<double> mean_, square_;  ///< of the gradient's entries, decaying, [P]
};

}  // namespace

std::unique_ptr<Optimiser> make_adam(Index num_parameters, const OptimiserOptions& options) {
  return std::make_unique<Adam>(num_parameters, options);
}

}  // namespace gramtile
