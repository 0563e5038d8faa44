// Minimises a function of a few numbers that is dear to evaluate, one step at a time; what an
// optimiser knows between two steps is a list of numbers, so that a run can be stopped after any of
// them and goes on with the same bits.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "engine/core/index.hpp"

namespace gramtile {

/// A value and its gradient [P] at a point. A value that is not finite says that there is none: the
/// optimiser tries a shorter step.
struct Evaluation {
  double value = 0;
  std::vector<double> gradient;
};

using Function = std::function<Evaluation(std::span<const double> point)>;

/// How a step ended.
enum class StepEnd {
  kMoved,
  kConverged,  ///< the gradient is 0 within OptimiserOptions::tolerance: no step was made
  kStuck,      ///< no step that was tried leads down: the last value has all the digits it can have
};

struct StepReport {
  StepEnd end = StepEnd::kMoved;
  double value = 0;     ///< at the point in front of the step
  double gradient = 0;  ///< largest entry of the gradient there
  double length = 0;    ///< largest change of a number
  Index num_evaluations = 0;
  std::vector<double> by_coordinate = {};  ///< the gradient there
};

struct OptimiserOptions {
  double max_step = 0.5;        ///< no step changes a number by more
  double learning_rate = 0.05;  ///< of Adam
  double tolerance =
      1e-7;  ///< largest entry of a gradient that counts as 0, relative to 1 + |value|
};

class Optimiser {
 public:
  virtual ~Optimiser() = default;

  virtual std::string_view name() const = 0;

  /// One step from `point`, which becomes the new point. Throws what `function` throws, and then
  /// both point and state are what they were.
  virtual StepReport step(const Function& function, std::span<double> point) = 0;

  /// All that the next step depends on besides the point.
  virtual std::vector<double> state() const = 0;
  /// Throws Error(kOther) for numbers that no state() of as many parameters gave.
  virtual void restore(std::span<const double> state) = 0;
};

/// Kingma and Ba, Adam: A Method for Stochastic Optimization (2015), algorithm 1, with β₁ = 0.9, β₂
/// = 0.999, ε = 1e-8. For functions that change from step to step, as those of random batches do.
std::unique_ptr<Optimiser> make_adam(Index num_parameters, const OptimiserOptions& options);

/// Nocedal and Wright, Numerical Optimization (2006), algorithm 7.5, with ten pairs and a search
/// along the direction for Wolfe's conditions (algorithms 3.5 and 3.6, c₁ = 1e-4, c₂ = 0.9). The
/// first step is at most max_step long, whatever the gradient's size. For a function that stays the
/// same.
std::unique_ptr<Optimiser> make_lbfgs(Index num_parameters, const OptimiserOptions& options);

}  // namespace gramtile
