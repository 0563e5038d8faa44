// The promise: what it says of a network, that the documents say the same, and how well determined
// a derivative is.
#include "engine/network/promised_accuracy.hpp"

#include <doctest/doctest.h>
#include <fmt/format.h>

#include <cmath>
#include <fstream>
#include <numbers>
#include <sstream>
#include <string>

#include "engine/reference/cosine_sensitivity.hpp"
#include "engine/reference/reference.hpp"
#include "io/network/network_json.hpp"

namespace gramtile::promised_accuracy_test {
namespace {

std::string document(const std::string& name) {
  std::ifstream file(std::string(GRAMTILE_TESTS_DIR) + "/../docs/" + name);
  REQUIRE(file.good());
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

/// 5e-6, as people write it.
std::string short_text(double value) {
  const int exponent = static_cast<int>(std::floor(std::log10(value) + 1e-9));
  return fmt::format("{:g}e{}", std::round(value * std::pow(10, -exponent) * 1e6) / 1e6, exponent);
}

Network network_of(const std::string& layers) {
  return read_network("{\"layers\": [" + layers + "]}", "");
}

TEST_CASE("docs/mathematics.md promises the numbers that kernel-verify and the tests ask for") {
  const std::string text = document("mathematics.md");
  const auto row = [](const std::string& head, double PromisedAccuracy::*promise) {
    return fmt::format("{} | {} | {} |\n", head, short_text(kPromisedFloat32.*promise),
                       short_text(kPromisedFloat64.*promise));
  };
  for (const std::string& words :
       {row("| K_ij | √(K_ii·K_jj)", &PromisedAccuracy::kernel),
        row("| ∂K_ij/∂θ | the parameter's largest entry of ∂K/∂θ", &PromisedAccuracy::jacobian),
        row("| ∂L/∂θ | that entry times Σ \\|∂L/∂K_ij\\|", &PromisedAccuracy::gradient),
        fmt::format("up to {} relus in a row; with n > {}, n/{}\n", kPromisedRelus, kPromisedRelus,
                    kPromisedRelus),
        fmt::format("for a δ of {:g} unit\nroundings", kPromisedCosineRoundings)}) {
    CAPTURE(words);
    CHECK(text.find(words) != std::string::npos);
  }
}

TEST_CASE("the promise grows with the relus in a row, not with those side by side") {
  const std::string relu = R"({"type": "relu"})";
  CHECK(relus_in_a_row(network_of(R"({"type": "conv2d", "kernel_size": 1})")) == 0);
  CHECK(relus_in_a_row(network_of(fmt::format(
            R"({{"type": "repeat", "times": 3, "layers": [{0},
                 {{"type": "sum", "branches": [[], [{0}, {0}], [{0}]]}},
                 {{"type": "sequential", "layers": [{0}]}}]}},
               {{"type": "mixture", "logits": [0, 0], "branches": [[{0}], []]}})",
            relu))) == 3 * (1 + 2 + 1) + 1);
  const auto repeated = [&](int times) {
    return network_of(
        fmt::format(R"({{"type": "repeat", "times": {}, "layers": [{}]}})", times, relu));
  };
  CHECK(promised_accuracy(repeated(50), DataType::kFloat32).kernel == kPromisedFloat32.kernel);
  CHECK(promised_accuracy(repeated(200), DataType::kFloat64).jacobian ==
        4 * kPromisedFloat64.jacobian);
}

TEST_CASE("a leaky relu counts for two relus in a row, an erf for one") {
  CHECK(relus_in_a_row(network_of(R"({"type": "leaky_relu", "negative_slope": 0.1},
                                     {"type": "relu"}, {"type": "erf"})")) == 4);
}

// At one pixel, K = 2/π·asin(2xy/√((1 + 2xx)(1 + 2yy))) · 3; x and y parallel.
TEST_CASE("errors are magnified by erfs of large variances, and by no homogeneous activation") {
  const double x[] = {1}, y[] = {1.1}, delta = 1e-9;
  const auto program = [](const std::string& activation) {
    return lower(network_of(R"({"type": "conv2d", "kernel_size": 1, "var_weight": 1e4},
                               {"type": )" +
                            activation + R"(},
                               {"type": "conv2d", "kernel_size": 1, "var_weight": 3})"),
                 {.channels = 1, .height = 1, .width = 1});
  };
  for (const char* activation : {R"("relu")", R"("leaky_relu", "negative_slope": -0.7)",
                                 R"("leaky_relu", "negative_slope": 3)"}) {
    CHECK(std::abs(reference::magnified_error(program(activation), x, y, delta)) <= 1e-14);
  }
  const double xx = 1e4, yy = 1.21e4, xy = 1.1e4, r = std::sqrt(xx * yy);
  const auto kernel = [&](double covariance) {
    return 3 * 2 / std::numbers::pi *
           std::asin(2 * covariance / std::sqrt((1 + 2 * xx) * (1 + 2 * yy)));
  };
  const double scale = std::sqrt(reference::kernel_diagonal(program(R"("erf")"), x) *
                                 reference::kernel_diagonal(program(R"("erf")"), y));
  const double found = reference::magnified_error(program(R"("erf")"), x, y, delta);
  CHECK(found > 50 * delta * scale);
  CHECK(found + delta * scale ==
        doctest::Approx(kernel(xy) - kernel(xy - delta * r)).epsilon(1e-3));
}

// One pixel, one channel: c = 1 at the input, and a bias before the relu moves it.
TEST_CASE(
    "parallel images of different size determine a bias's derivative to √δ, a weight's fully") {
  const auto program = [](const std::string& bias) {
    return lower(
        network_of(R"({"type": "conv2d", "kernel_size": 1, "var_weight": 1.5, "var_bias": )" +
                   bias + R"(}, {"type": "relu"})"),
        {.channels = 1, .height = 1, .width = 1});
  };
  const double x[] = {1}, y[] = {2}, same[] = {1}, delta = 1e-12;
  const auto moved = reference::cosine_sensitivity(program("1e-30"), x, y, delta);
  REQUIRE(moved.size() == 2);
  // r/4π·|2/r − 1/xx − 1/yy|·√(2δ) at r = 3, xx = 1.5, yy = 6
  CHECK(moved[1] == doctest::Approx(3 / (4 * std::numbers::pi) *
                                    std::abs(2. / 3 - 1 / 1.5 - 1. / 6) * std::sqrt(2 * delta)));
  CHECK(moved[0] < 1e-15);  // scales both images alike
  CHECK(reference::cosine_sensitivity(program("1e-30"), x, same, delta)[1] < 1e-15);
}

TEST_CASE("the sensitivity is what derivatives do when every cosine is moved") {
  // Not parallel: δϑ = δ/sin ϑ. At one pixel ∂K/∂b = slope + e·(1/xx + 1/yy) as functions of ϑ.
  const Program program = lower(
      network_of(
          R"({"type": "conv2d", "kernel_size": 1, "var_weight": 1, "var_bias": 0.3}, {"type": "relu"})"),
      {.channels = 1, .height = 1, .width = 1});
  const double x[] = {1.3}, y[] = {-0.4}, delta = 1e-7;
  const double xx = 1.69 + 0.3, yy = 0.16 + 0.3, xy = -0.52 + 0.3, r = std::sqrt(xx * yy);
  const auto derivative = [&](double c) {
    const double angle = std::acos(c);
    return (std::numbers::pi - angle) / (2 * std::numbers::pi) +
           r * std::sin(angle) / (4 * std::numbers::pi) * (1 / xx + 1 / yy);
  };
  CHECK(derivative(xy / r) ==
        doctest::Approx(reference::kernel_gradient(program, x, y).gradient[1]).epsilon(1e-12));
  const double found = reference::cosine_sensitivity(program, x, y, delta)[1];
  CHECK(found ==
        doctest::Approx(std::abs(derivative(xy / r + delta) - derivative(xy / r - delta)) / 2)
            .epsilon(1e-5));
}

}  // namespace
}  // namespace gramtile::promised_accuracy_test
