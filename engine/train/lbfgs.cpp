#include <algorithm>
#include <cmath>
#include <deque>
#include <limits>
#include <optional>
#include <utility>

#include "engine/core/errors.hpp"
#include "engine/core/worst_of.hpp"
#include "engine/train/line_search.hpp"
#include "engine/train/optimiser.hpp"

namespace gramtile {
namespace {

using Vector = std::vector<double>;

constexpr std::size_t kNumPairs = 10;

double dot(std::span<const double> a, std::span<const double> b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

double largest(std::span<const double> values) {
  double result = 0;
  for (const double value : values) result = worst_of(result, std::abs(value));
  return result;
}

/// What a step changed: s = x′ − x, y = ∇f(x′) − ∇f(x).
struct Pair {
  Vector s, y;
};

class Lbfgs final : public Optimiser {
 public:
  Lbfgs(Index num_parameters, const OptimiserOptions& options)
      : options_(options), size_(static_cast<std::size_t>(num_parameters)) {}

  std::string_view name() const override { return "lbfgs"; }

  StepReport step(const Function& function, std::span<double> point) override {
    StepReport report;
    const auto evaluate = [&](std::span<const double> at) {
      ++report.num_evaluations;
      return function(at);
    };
    const Evaluation here = known_.gradient.empty() ? evaluate(point) : known_;
    report.value = here.value;
    report.by_coordinate = here.gradient;
    report.gradient = largest(here.gradient);
    if (!std::isfinite(here.value) || !std::isfinite(report.gradient)) {
      report.end = StepEnd::kStuck;
      return report;
    }
    if (report.gradient <= options_.tolerance * (1 + std::abs(here.value))) {
      report.end = StepEnd::kConverged;
      known_ = here;
      return report;
    }
    move(evaluate, here, point, report);
    return report;
  }

  // The number of pairs, the pairs, and the evaluation at the point, if it is known.
  std::vector<double> state() const override {
    std::vector<double> result{static_cast<double>(pairs_.size())};
    const auto put = [&](const Vector& v) { result.insert(result.end(), v.begin(), v.end()); };
    for (const Pair& pair : pairs_) {
      put(pair.s);
      put(pair.y);
    }
    if (known_.gradient.empty()) return result;
    result.push_back(known_.value);
    put(known_.gradient);
    return result;
  }

  void restore(std::span<const double> state) override {
    const bool counted = !state.empty() && state[0] >= 0 && state[0] <= double(kNumPairs) &&
                         state[0] == std::floor(state[0]);
    const std::size_t num_pairs = counted ? static_cast<std::size_t>(state[0]) : 0;
    const std::size_t without = 1 + 2 * size_ * num_pairs;
    if (!counted || (state.size() != without && state.size() != without + 1 + size_)) {
      throw Error(ErrorKind::kOther, "the state of the optimiser is of another network");
    }
    std::size_t at = 1;
    const auto take = [&] {
      const auto part = state.subspan(at, size_);
      at += size_;
      return Vector(part.begin(), part.end());
    };
    pairs_.clear();
    for (std::size_t k = 0; k < num_pairs; ++k) {
      Vector s = take();
      pairs_.push_back({std::move(s), take()});
    }
    known_ = {};
    if (at == state.size()) return;
    known_.value = state[at++];
    known_.gradient = take();
  }

 private:
  template <class Evaluate>
  void move(const Evaluate& evaluate, const Evaluation& here, std::span<double> point,
            StepReport& report) {
    const Vector start(point.begin(), point.end());
    Vector direction = downhill(here.gradient);
    if (!(dot(direction, here.gradient) < 0)) {  // the pairs have lost their meaning
      pairs_.clear();
      direction = downhill(here.gradient);
    }
    const double longest = options_.max_step / largest(direction);
    const auto along = [&](double t) {
      Vector at(size_);
      for (std::size_t i = 0; i < size_; ++i) at[i] = start[i] + t * direction[i];
      return at;
    };
    const auto at = [&](double t) {
      LinePoint there{.t = t, .at = evaluate(along(t))};
      there.slope = there.at.gradient.size() == size_ ? dot(direction, there.at.gradient)
                                                      : std::numeric_limits<double>::quiet_NaN();
      return there;
    };
    std::optional<LinePoint> found =
        search_line({.slope = dot(direction, here.gradient), .at = here}, at,
                    pairs_.empty() ? longest : std::min(1.0, longest), longest);
    if (!found && !pairs_.empty()) {  // once more, straight down
      pairs_.clear();
      return move(evaluate, here, point, report);
    }
    if (!found) {
      report.end = StepEnd::kStuck;
      known_ = here;
      return;
    }
    const Vector end = along(found->t);
    remember(start, end, here.gradient, found->at.gradient);
    for (std::size_t i = 0; i < size_; ++i) {
      report.length = worst_of(report.length, std::abs(end[i] - start[i]));
      point[i] = end[i];
    }
    known_ = std::move(found->at);
  }

  // −H·g by the two loops (algorithm 7.4); without pairs −g.
  Vector downhill(const Vector& gradient) const {
    Vector q = gradient;
    std::vector<double> alpha(pairs_.size());
    for (std::size_t k = pairs_.size(); k-- > 0;) {
      const Pair& pair = pairs_[k];
      alpha[k] = dot(pair.s, q) / dot(pair.s, pair.y);
      for (std::size_t i = 0; i < size_; ++i) q[i] -= alpha[k] * pair.y[i];
    }
    if (!pairs_.empty()) {
      const Pair& last = pairs_.back();
      const double scale = dot(last.s, last.y) / dot(last.y, last.y);
      for (double& value : q) value *= scale;
    }
    for (std::size_t k = 0; k < pairs_.size(); ++k) {
      const Pair& pair = pairs_[k];
      const double beta = dot(pair.y, q) / dot(pair.s, pair.y);
      for (std::size_t i = 0; i < size_; ++i) q[i] += (alpha[k] - beta) * pair.s[i];
    }
    for (double& value : q) value = -value;
    return q;
  }

  // Only pairs of positive curvature keep H positive definite.
  void remember(const Vector& start, const Vector& end, const Vector& before, const Vector& after) {
    Pair pair{Vector(size_), Vector(size_)};
    for (std::size_t i = 0; i < size_; ++i) {
      pair.s[i] = end[i] - start[i];
      pair.y[i] = after[i] - before[i];
    }
    if (!(dot(pair.s, pair.y) > 1e-12 * std::sqrt(dot(pair.s, pair.s) * dot(pair.y, pair.y))))
      return;
    if (pairs_.size() == kNumPairs) pairs_.pop_front();
    pairs_.push_back(std::move(pair));
  }

  const OptimiserOptions options_;
  const std::size_t size_;
  std::deque<Pair> pairs_;  ///< of the last steps, the oldest first
  Evaluation known_;        ///< at the point that the last step ended at; empty before the first
};

}  // namespace

std::unique_ptr<Optimiser> make_lbfgs(Index num_parameters, const OptimiserOptions& options) {
  return std::make_unique<Lbfgs>(num_parameters, options);
}

}  // namespace gramtile
