// K is the limit of random finite networks. T, the mean of f_c(x)·f_c(y) over the n output units of
// one network with n channels everywhere, must approach K as n grows. How fast, for three
// convolutions with a relu behind the first two (S_l: covariance maps before relu l, S_3 = K; Ŝ: of
// one network):
//
//  outputs    Given the layers below, outputs are normal and independent:
//             Var ≤ (Ŝ_xx·Ŝ_yy + Ŝ_xy²)/n ≤ 2·S3_xx·S3_yy/n.
//  layer 2    Ŝ3 is a mean over n independent channels. For normal u, E relu(u)⁴ = 3/2·Var(u)², so
//  by
//             Cauchy–Schwarz and Minkowski its deviation is ≤ √(3/2n)·w3/k²·Σ_p √(S2_xx·S2_yy)[p].
//  layer 1    Likewise Ŝ2[p] deviates by σ_xy[p] ≤ √(3/2n)·w2/k²·Σ_window √(S1_xx·S1_yy), and σ_xx,
//  σ_yy
//             by the same with S1_xx, S1_yy; relu passes on to first order
//             ∂f/∂xy·σ_xy + e·(σ_xx/xx + σ_yy/yy) at every pixel.
//  bias       To second order E Ŝ3 − S3 is half the mean quadratic form of relu's second
//  derivatives, in
//             relative changes (a, p, q) of (xy, xx, yy) at most r/(8π sin θ)·(2|a| + |p| + |q|)².
//
// The three deviations add as squares (law of total variance). Terms of higher order in 1/n are
// left out; the inequalities leave more room than those take. Sampling error of S networks: 5
// standard deviations, 1/√S of one network's for the mean and √(3/S) for the mean square.
#include "tests/support/finite_network.hpp"

#include <doctest/doctest.h>

#include <cmath>
#include <numbers>

#include "engine/activations/relu.hpp"
#include "engine/reference/forward.hpp"
#include "engine/reference/maps.hpp"
#include "io/network/network_json.hpp"
#include "tests/support/short_form.hpp"

namespace gramtile::finite_network_test {
namespace {

using reference::Map;
using reference::PairMaps;

constexpr double kNumDeviations = 5;

/// For one network of width n: variance ≤ variance/n, |mean − K| ≤ bias/n.
struct Bounds {
  double variance = 0, bias = 0;
};

Map root_product(const Map& a, const Map& b) {
  Map result;
  for (std::size_t p = 0; p < a.size(); ++p) {
    result.push_back(std::sqrt(a[p] * b[p]));
  }
  return result;
}

// √(3/2)·weight/k²·(window sum of `map`): √n times the deviation of the next layer's covariance.
Map deviation(const Program& program, const Conv2dOp& op, const Map& map) {
  const auto shape_of = [&](ValueId value) {
    return program.values[static_cast<std::size_t>(value)].shape;
  };
  const auto taps = static_cast<double>(op.geometry.num_taps());
  Map sum = reference::window_sum(op.geometry, shape_of(op.input), shape_of(op.output), map);
  for (double& value : sum) {
    value *= std::sqrt(1.5) * op.weight.value / taps;
  }
  return sum;
}

// Program: conv, relu, conv, relu, conv to 1×1; values 1, 3 and 5 are S_1, S_2 and S_3.
Bounds bounds_of(const Program& program, std::span<const double> x, std::span<const double> y) {
  const reference::Tape tape = reference::run_forward(program, x, y);
  const auto& conv2 = std::get<Conv2dOp>(program.ops[2]);
  const auto& conv3 = std::get<Conv2dOp>(program.ops[4]);
  const PairMaps &s1 = tape[1], &s2 = tape[3], &s3 = tape[5];
  const Map sigma_xy = deviation(program, conv2, root_product(s1.xx, s1.yy));
  const Map sigma_xx = deviation(program, conv2, s1.xx);
  const Map sigma_yy = deviation(program, conv2, s1.yy);

  const double per_pixel = conv3.weight.value / static_cast<double>(conv3.geometry.num_taps());
  double layer1 = 0, bias = 0;
  for (std::size_t p = 0; p < s2.xy.size(); ++p) {
    const auto f = relu_covariance(s2.xy[p], s2.xx[p], s2.yy[p]);
    const double r = std::sqrt(s2.xx[p] * s2.yy[p]);
    const double cosine = s2.xy[p] / r;
    const double relative_xx = sigma_xx[p] / s2.xx[p], relative_yy = sigma_yy[p] / s2.yy[p];
    layer1 += per_pixel * (f.by_xy * sigma_xy[p] + f.elasticity * (relative_xx + relative_yy));
    const double spread = 2 * sigma_xy[p] / r + relative_xx + relative_yy;
    bias +=
        per_pixel * r / (16 * std::numbers::pi * std::sqrt(1 - cosine * cosine)) * spread * spread;
  }
  const double layer2 = deviation(program, conv3, root_product(s2.xx, s2.yy))[0];
  return {.variance = 2 * s3.xx[0] * s3.yy[0] + layer2 * layer2 + layer1 * layer1, .bias = bias};
}

struct Observed {
  double mean_error = 0;         ///< mean of T − K
  double mean_square_error = 0;  ///< mean of (T − K)²
};

Observed observe(const Program& program, Index width, int num_samples, double kernel,
                 std::span<const double> x, std::span<const double> y) {
  test::Random random(static_cast<std::uint64_t>(width));
  Observed observed;
  for (int sample = 0; sample < num_samples; ++sample) {
    const double error = test::sample_covariance(program, width, x, y, random).xy - kernel;
    observed.mean_error += error / num_samples;
    observed.mean_square_error += error * error / num_samples;
  }
  return observed;
}

}  // namespace

TEST_SUITE("reference") {
  void check_convergence(const std::string& network, ImageShape shape) {
    const Program program = lower(read_network(network, ""), shape);
    test::Random random(5);
    const std::vector<double> x = test::random_image(random, program.input);
    std::vector<double> y = test::random_image(random, program.input);
    for (std::size_t i = 0; i < y.size(); ++i) {
      y[i] = 0.8 * x[i] + 0.6 * y[i];
    }
    const double kernel = reference::run_forward(program, x, y).back().xy[0];
    const Bounds bounds = bounds_of(program, x, y);

    struct Level {
      Index width;
      int num_samples;
    };
    double previous = 0;
    int previous_samples = 0;
    double tightest = 0;
    for (const auto& [width, num_samples] : {Level{8, 3000}, Level{32, 800}, Level{128, 480}}) {
      if (width > 32 && test::is_short_form()) return;
      CAPTURE(width);
      const double n = static_cast<double>(width), samples = num_samples;
      const Observed observed = observe(program, width, num_samples, kernel, x, y);
      const double error = std::sqrt(observed.mean_square_error);
      const double bias = bounds.bias / n;
      const double mean_tolerance = bias + kNumDeviations * error / std::sqrt(samples);
      MESSAGE("width " << width << ": K " << kernel << ", mean error " << observed.mean_error
                       << " of " << mean_tolerance << " allowed, rms error " << error << " of "
                       << std::sqrt(bounds.variance / n + bias * bias));
      CHECK(std::abs(observed.mean_error) <= mean_tolerance);
      CHECK(observed.mean_square_error <=
            (bounds.variance / n + bias * bias) * (1 + kNumDeviations * std::sqrt(3 / samples)));
      if (previous > 0) {
        // Four times the width, half the error, within the sampling error of both.
        const double spread = std::sqrt(0.75 * (1 / samples + 1.0 / previous_samples));
        CHECK(std::abs(2 * error / previous - 1) <= kNumDeviations * spread);
      }
      previous = error;
      tightest = mean_tolerance;
      previous_samples = num_samples;
    }
    CHECK(tightest <= 0.12 * kernel);  // or the comparison of the means would say little
  }

  TEST_CASE("covariances of random finite networks approach K at the Monte-Carlo rate") {
    check_convergence(R"({"layers": [
        {"type": "conv2d", "kernel_size": 3, "var_weight": 2, "var_bias": 0.2}, {"type": "relu"},
        {"type": "conv2d", "kernel_size": 2, "var_weight": 3, "var_bias": 0.1}, {"type": "relu"},
        {"type": "conv2d", "kernel_size": 4, "padding": 0, "var_weight": 2.5, "var_bias": 0.3}]})",
                      {.channels = 2, .height = 4, .width = 4});
  }

  // The second window goes all round a map of three columns, and sees one of them twice.
  TEST_CASE("and so do those whose windows are unequal along the axes, or go round") {
    check_convergence(R"({"layers": [
        {"type": "conv2d", "kernel_size": [2, 3], "stride": [1, 2], "padding": [0, 1],
         "var_weight": 2, "var_bias": 0.2}, {"type": "relu"},
        {"type": "conv2d", "kernel_size": [3, 4], "padding": "circular", "var_weight": 3,
         "var_bias": 0.1}, {"type": "relu"},
        {"type": "dense", "var_weight": 2.5, "var_bias": 0.3}]})",
                      {.channels = 2, .height = 5, .width = 5});
  }
}

}  // namespace gramtile::finite_network_test
