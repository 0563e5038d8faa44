// The reference against mathematics: symmetry, the variance on the diagonal, central differences
// and identities that hold exactly. u = 2⁻⁵³ is the rounding of one operation.
#include "engine/reference/reference.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "io/network/network_json.hpp"
#include "tests/support/operation_table.hpp"
#include "tests/support/random_network.hpp"

namespace gramtile::reference_test {
namespace {

using test::Random;

constexpr double kRounding = 0x1p-53;
constexpr std::uint64_t kNumCases = 60;

struct Pair {
  Program program;
  std::vector<double> x, y;
};

Pair random_pair(std::uint64_t seed) {
  const test::RandomCase random_case = test::random_case(seed);
  Random random(seed + 1'000'000);
  Pair pair{random_case.program(), {}, {}};
  pair.x = test::random_image(random, random_case.shape);
  pair.y = test::random_image(random, random_case.shape);
  return pair;
}

// Relative error of a value made of positive terms: of each operation the terms it adds (the taps
// of a window, the branches of a sum), and at most 8 roundings besides (relu: two roots, r, c,
// sine, angle, two products; each with a factor of at most 1).
double rounding_bound(const Program& program) {
  double num_roundings = static_cast<double>(program.input.channels) + 2;
  for (const Op& op : program.ops) num_roundings += 8 + static_cast<double>(test::num_terms(op));
  return num_roundings * kRounding;
}

double scale_of(const Pair& pair) {
  return std::sqrt(reference::kernel_diagonal(pair.program, pair.x) *
                   reference::kernel_diagonal(pair.program, pair.y));
}

// (K(θ + h) − K(θ − h)) / 2h
double central_difference(const Pair& pair, Index parameter, double h) {
  const auto kernel_at = [&](double delta) {
    return reference::kernel(test::with_shifted_parameter(pair.program, parameter, delta), pair.x,
                             pair.y);
  };
  return (kernel_at(h) - kernel_at(-h)) / (2 * h);
}

Index index_of(const Program& program, const std::string& name) {
  for (std::size_t p = 0; p < program.parameters.size(); ++p) {
    if (program.parameters[p].name == name) {
      return static_cast<Index>(p);
    }
  }
  FAIL("no parameter " << name);
  return kNoParameter;
}

}  // namespace

TEST_SUITE("reference") {
  TEST_CASE("K(x, y) and K(y, x) have the same bits") {
    for (std::uint64_t seed = 0; seed < kNumCases; ++seed) {
      CAPTURE(seed);
      const Pair pair = random_pair(seed);
      CHECK(reference::kernel(pair.program, pair.x, pair.y) ==
            reference::kernel(pair.program, pair.y, pair.x));
    }
  }

  TEST_CASE("the recursion of two equal images reaches the variance of the diagonal") {
    // Both are made of positive terms only, so each has at most rounding_bound.
    for (std::uint64_t seed = 0; seed < kNumCases; ++seed) {
      CAPTURE(seed);
      const Pair pair = random_pair(seed);
      const double variance = reference::kernel_diagonal(pair.program, pair.x);
      const double covariance = reference::kernel(pair.program, pair.x, pair.x);
      CHECK(std::abs(covariance - variance) <= 2 * rounding_bound(pair.program) * variance);
    }
  }

  TEST_CASE("no covariance exceeds the geometric mean of its variances") {
    for (std::uint64_t seed = 0; seed < kNumCases; ++seed) {
      CAPTURE(seed);
      const Pair pair = random_pair(seed);
      const double kernel = reference::kernel(pair.program, pair.x, pair.y);
      CHECK(std::abs(kernel) <= scale_of(pair) * (1 + 2 * rounding_bound(pair.program)));
    }
  }

  TEST_CASE("the gradient agrees with central differences on random nested networks") {
    // D(h) = K' + K‴h²/6 + …, so |D(h) − D(h/2)| is about 3 times the error of D(h/2); K has
    // relative rounding errors of at most `rounding_bound` of its scale, divided by h in D(h/2).
    // Tolerance: twice the one plus twice the other, and small beside the gradient itself.
    for (std::uint64_t seed = 0; seed < kNumCases; ++seed) {
      CAPTURE(seed);
      const Pair pair = random_pair(seed);
      const auto [kernel, gradient] = reference::kernel_gradient(pair.program, pair.x, pair.y);
      CHECK(kernel == reference::kernel(pair.program, pair.x, pair.y));
      const double scale = scale_of(pair);
      for (std::size_t p = 0; p < gradient.size(); ++p) {
        CAPTURE(pair.program.parameters[p].name);
        const double h = 1e-4;
        const double coarse = central_difference(pair, static_cast<Index>(p), h);
        const double fine = central_difference(pair, static_cast<Index>(p), h / 2);
        const double tolerance =
            2 * std::abs(coarse - fine) + 2 * 2 * rounding_bound(pair.program) * scale / h;
        CHECK(std::abs(fine - gradient[p]) <= tolerance);
        CHECK(tolerance <= 1e-5 * scale);
      }
    }
  }

  TEST_CASE("the gradient of the diagonal agrees with central differences") {
    for (std::uint64_t seed = 0; seed < kNumCases; ++seed) {
      CAPTURE(seed);
      const Pair pair = random_pair(seed);
      const auto [variance, gradient] = reference::kernel_diagonal_gradient(pair.program, pair.x);
      for (std::size_t p = 0; p < gradient.size(); ++p) {
        CAPTURE(pair.program.parameters[p].name);
        const double h = 1e-4;
        const auto at = [&](double delta) {
          const Program shifted =
              test::with_shifted_parameter(pair.program, static_cast<Index>(p), delta);
          return reference::kernel_diagonal(shifted, pair.x);
        };
        const double coarse = (at(h) - at(-h)) / (2 * h);
        const double fine = (at(h / 2) - at(-h / 2)) / h;
        const double tolerance =
            2 * std::abs(coarse - fine) + 2 * 2 * rounding_bound(pair.program) * variance / h;
        CHECK(std::abs(fine - gradient[p]) <= tolerance);
        CHECK(tolerance <= 1e-5 * variance);
      }
    }
  }

  TEST_CASE("scale moves freely between consecutive convolutions, and the last bias adds itself") {
    // (w, b) of one layer times a and the next w divided by a leave K as it is; at a = 1:
    // w_l·∂K/∂w_l + b_l·∂K/∂b_l = w_{l+1}·∂K/∂w_{l+1}.
    const Network network = read_network(
        R"({"layers": [
             {"type": "conv2d", "kernel_size": 3, "var_weight": 1.7, "var_bias": 0.3},
             {"type": "relu"},
             {"type": "conv2d", "kernel_size": 2, "stride": 2, "var_weight": 2.3, "var_bias": 0.2},
             {"type": "relu"},
             {"type": "conv2d", "kernel_size": 4, "padding": 0, "var_weight": 0.9, "var_bias": 0.4}
           ]})",
        "");
    const Program program = lower(network, {.channels = 2, .height = 8, .width = 8});
    Random random(7);
    const std::vector<double> x = test::random_image(random, program.input);
    const std::vector<double> y = test::random_image(random, program.input);
    const auto check = [&](const reference::PairGradient& entry) {
      const auto term = [&](const std::string& name) {
        const std::size_t p = static_cast<std::size_t>(index_of(program, name));
        return program.parameters[p].value * entry.gradient[p];
      };
      const double tolerance = 4 * rounding_bound(program) * entry.kernel;
      for (int l = 0; l < 2; ++l) {
        const std::string here = "conv" + std::to_string(l);
        const std::string next = "conv" + std::to_string(l + 1);
        const double moved = term(here + ".var_weight") + term(here + ".var_bias");
        CHECK(std::abs(moved - term(next + ".var_weight")) <= tolerance);
      }
      CHECK(entry.gradient[static_cast<std::size_t>(index_of(program, "conv2.var_bias"))] == 1);
    };
    check(reference::kernel_gradient(program, x, y));
    check(reference::kernel_diagonal_gradient(program, x));
  }
}

}  // namespace gramtile::reference_test
