// The optimisers of training on functions whose minima are known, and against liblbfgs.
#include "engine/train/optimiser.hpp"

#include <doctest/doctest.h>
#include <lbfgs.h>

#include <cmath>
#include <limits>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/core/errors.hpp"
#include "engine/core/worst_of.hpp"

namespace gramtile::test::optimiser_test {
namespace {

using Vector = std::vector<double>;

struct Problem {
  std::string name;
  Function function;
  Vector start, minimum;
};

Evaluation rosenbrock(std::span<const double> x) {
  Evaluation result{0, Vector(x.size())};
  for (std::size_t i = 0; i + 1 < x.size(); ++i) {
    const double a = 1 - x[i], b = x[i + 1] - x[i] * x[i];
    result.value += a * a + 100 * b * b;
    result.gradient[i] += -2 * a - 400 * x[i] * b;
    result.gradient[i + 1] += 200 * b;
  }
  return result;
}

/// Σ sᵢ (xᵢ − i)², of very unequal curvatures.
Evaluation valley(std::span<const double> x) {
  Evaluation result{0, Vector(x.size())};
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double scale = std::pow(10.0, double(i) - 3), d = x[i] - double(i);
    result.value += scale * d * d;
    result.gradient[i] = 2 * scale * d;
  }
  return result;
}

/// Σ xᵢ − log xᵢ, of which there is none at 0 and below.
Evaluation barrier(std::span<const double> x) {
  Evaluation result{0, Vector(x.size())};
  for (std::size_t i = 0; i < x.size(); ++i) {
    result.value += x[i] > 0 ? x[i] - std::log(x[i]) : std::numeric_limits<double>::infinity();
    result.gradient[i] = 1 - 1 / x[i];
  }
  return result;
}

/// Flat along (1, 1, −1, …): what scales of neighbouring layers are to a kernel.
Evaluation flat_direction(std::span<const double> x) {
  const double a = x[0] + x[1] + 2 * x[2] - 1, b = x[0] - x[1] + 3;
  return {a * a + 0.5 * b * b * b * b, {2 * a + 2 * b * b * b, 2 * a - 2 * b * b * b, 4 * a}};
}

std::vector<Problem> problems() {
  return {{"rosenbrock", rosenbrock, {-1.2, 1, -1.2, 1}, {1, 1, 1, 1}},
          {"valley", valley, {5, 5, 5, 5, 5, 5, 5}, {0, 1, 2, 3, 4, 5, 6}},
          {"barrier", barrier, {3, 0.01, 20}, {1, 1, 1}}};
}

double largest_difference(const Vector& a, const Vector& b) {
  double result = 0;
  for (std::size_t i = 0; i < a.size(); ++i) result = worst_of(result, std::abs(a[i] - b[i]));
  return result;
}

/// Steps until the optimiser says that it has ended.
struct Descent {
  Vector point;
  StepReport last = {};
  Index num_steps = 0, num_evaluations = 0;
  double longest = 0;
};
Descent descend(Optimiser& optimiser, const Problem& problem, Index most_steps) {
  Descent result{.point = problem.start};
  for (; result.num_steps < most_steps; ++result.num_steps) {
    result.last = optimiser.step(problem.function, result.point);
    result.num_evaluations += result.last.num_evaluations;
    result.longest = std::max(result.longest, result.last.length);
    if (result.last.end != StepEnd::kMoved) break;
  }
  return result;
}

/// Minimum and number of evaluations of liblbfgs.
std::pair<Vector, Index> oracle(const Problem& problem) {
  struct State {
    const Function& function;
    Index num_evaluations = 0;
  } state{problem.function};
  lbfgs_parameter_t parameters;
  lbfgs_parameter_init(&parameters);
  parameters.m = 10;
  parameters.epsilon = 1e-9;
  Vector point = problem.start;
  const auto evaluate = [](void* instance, const lbfgsfloatval_t* x, lbfgsfloatval_t* g, int n,
                           lbfgsfloatval_t) -> lbfgsfloatval_t {
    auto& s = *static_cast<State*>(instance);
    ++s.num_evaluations;
    const Evaluation at = s.function({x, static_cast<std::size_t>(n)});
    std::copy(at.gradient.begin(), at.gradient.end(), g);
    return std::isfinite(at.value) ? at.value : 1e300;
  };
  lbfgs(static_cast<int>(point.size()), point.data(), nullptr, evaluate, nullptr, &state,
        &parameters);
  return {point, state.num_evaluations};
}

}  // namespace

TEST_CASE("lbfgs finds the minima that liblbfgs finds, in at most twice its evaluations") {
  for (const Problem& problem : problems()) {
    CAPTURE(problem.name);
    const auto optimiser =
        make_lbfgs(static_cast<Index>(problem.start.size()), {.max_step = 10, .tolerance = 1e-9});
    const Descent found = descend(*optimiser, problem, 500);
    CHECK(largest_difference(found.point, problem.minimum) < 1e-5);
    CHECK(found.last.end != StepEnd::kMoved);
    CHECK(found.last.gradient < 1e-6);
    if (problem.name == "barrier") continue;  // liblbfgs takes no infinite values
    const auto [minimum, num_evaluations] = oracle(problem);
    CHECK(largest_difference(found.point, minimum) < 1e-5);
    CHECK(found.num_evaluations <= 2 * num_evaluations);
    MESSAGE(problem.name << ": " << found.num_evaluations << " evaluations, liblbfgs "
                         << num_evaluations);
  }
}

TEST_CASE("adam finds minima, slowly") {
  for (const Problem& problem : problems()) {
    CAPTURE(problem.name);
    const auto optimiser =
        make_adam(static_cast<Index>(problem.start.size()), {.learning_rate = 0.02});
    const Descent found = descend(*optimiser, problem, 20'000);
    CHECK(problem.function(found.point).value < problem.function(problem.minimum).value + 1e-3);
  }
}

TEST_CASE("adam's first steps are those of its paper") {
  // By hand: the first step is the learning rate in the direction of the gradient's sign, the
  // second with m = (0.1·0.9·g + 0.1·g)/(1 − 0.81), v = (0.001·0.999 + 0.001) g²/(1 − 0.999²).
  const Function slope = [](std::span<const double>) { return Evaluation{0, {4.0, -0.25}}; };
  const auto optimiser = make_adam(2, {.learning_rate = 0.1});
  Vector point{0, 0};
  optimiser->step(slope, point);
  CHECK(point[0] == doctest::Approx(-0.1).epsilon(1e-7));
  CHECK(point[1] == doctest::Approx(0.1).epsilon(1e-7));
  optimiser->step(slope, point);
  CHECK(point[0] == doctest::Approx(-0.2).epsilon(1e-7));
}

TEST_CASE("no step is longer than max_step") {
  for (const Problem& problem : problems()) {
    const auto size = static_cast<Index>(problem.start.size());
    for (const auto& optimiser : {make_lbfgs(size, {.max_step = 0.125}),
                                  make_adam(size, {.max_step = 0.125, .learning_rate = 3})}) {
      CAPTURE(problem.name);
      const Descent found = descend(*optimiser, problem, 50);
      CHECK(found.longest <= 0.125 * (1 + 1e-12));
      CHECK(found.longest > 0.1);
    }
  }
}

TEST_CASE("a state restored goes on with the same bits, from every step") {
  for (const Problem& problem : problems()) {
    const auto size = static_cast<Index>(problem.start.size());
    for (const auto make : {make_lbfgs, make_adam}) {
      const auto whole = make(size, {});
      Vector point = problem.start;
      for (int step = 0; step < 25; ++step) {
        const auto resumed = make(size, {});
        resumed->restore(whole->state());
        Vector again = point;
        const StepReport report = resumed->step(problem.function, again);
        CHECK(whole->step(problem.function, point).length == report.length);
        CHECK(again == point);
        CHECK(resumed->state() == whole->state());
      }
    }
  }
}

TEST_CASE("states of another size are refused") {
  for (const auto make : {make_lbfgs, make_adam}) {
    const auto small = make(2, {}), large = make(3, {});
    const Problem problem = problems()[0];
    Vector point(problem.start.begin(), problem.start.begin() + 2);
    small->step(problem.function, point);
    small->step(problem.function, point);
    CHECK_THROWS_AS(large->restore(small->state()), Error);
    CHECK_THROWS_AS(large->restore(Vector{}), Error);
    CHECK_THROWS_AS(make_lbfgs(2, {})->restore(Vector{-1}), Error);
  }
}

TEST_CASE("lbfgs does not move along directions that change nothing") {
  const auto optimiser = make_lbfgs(3, {});
  Problem problem{"flat", flat_direction, {4, -2, 1}, {}};
  const Descent found = descend(*optimiser, problem, 200);
  CHECK(problem.function(found.point).value < 1e-5);
  // The flat direction, (1, 1, −1): orthogonal to every gradient, so to every step.
  const double moved = found.point[0] - 4 + (found.point[1] + 2) - (found.point[2] - 1);
  CHECK(std::abs(moved) < 1e-12);
}

TEST_CASE("a function that throws leaves point and state as they were") {
  for (const auto make : {make_lbfgs, make_adam}) {
    const auto optimiser = make(4, {});
    Vector point = problems()[0].start;
    optimiser->step(rosenbrock, point);
    const Vector before = point, state = optimiser->state();
    Index calls = 0;
    const Function throws = [&](std::span<const double> x) {
      if (++calls == (make == make_adam ? 1 : 2)) throw std::runtime_error("stopped");
      return rosenbrock(x);
    };
    for (int i = 0; i < 3 && calls < 2; ++i) {
      CAPTURE(i);
      Vector here = point;
      const Vector kept = optimiser->state();
      try {
        optimiser->step(throws, point);
      } catch (const std::runtime_error&) {
        CHECK(point == here);
        CHECK(optimiser->state() == kept);
      }
      if (make == make_adam) break;
    }
  }
}

TEST_CASE("a value that is not finite, and a gradient of zero, end a step where it began") {
  for (const auto make : {make_lbfgs, make_adam}) {
    Vector point{1, 2};
    const Function nan = [](std::span<const double>) {
      return Evaluation{std::nan(""), {1.0, 1.0}};
    };
    CHECK(make(2, {})->step(nan, point).end == StepEnd::kStuck);
    const Function flat = [](std::span<const double>) { return Evaluation{3, {0.0, 0.0}}; };
    CHECK(make(2, {})->step(flat, point).end == StepEnd::kConverged);
    CHECK(point == Vector{1, 2});
  }
}

}  // namespace gramtile::test::optimiser_test
