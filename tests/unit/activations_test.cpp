// Every activation against its definition, F(xy, xx, yy) = E[φ(u)·φ(v)], and its facts against each
// other, over the whole range of what a pixel can hold. A new activation joins kAll and phi().
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <vector>

#include "engine/activations/activation.hpp"

namespace gramtile::activations_test {
namespace {

using std::numbers::pi;

const std::vector<Activation> kAll{Relu{},          LeakyRelu{0.2}, LeakyRelu{-1}, LeakyRelu{1},
                                   LeakyRelu{-0.4}, LeakyRelu{3},   LeakyRelu{0},  Erf{}};

double phi(const Relu&, double u) { return std::max(u, 0.0); }
double phi(const LeakyRelu& leaky, double u) { return u > 0 ? u : leaky.negative_slope * u; }
double phi(const Erf&, double u) { return std::erf(u); }

const double kCosines[] = {-1, -1 + 1e-12, -0.999, -0.5, -1e-9, 0, 1e-9, 0.3, 0.95, 1 - 1e-12, 1};
const double kVariances[] = {1e-30, 1e-6, 0.2, 1, 7, 1e4, 1e12};

PixelPair pair(double c, double xx, double yy) {
  return {c * std::sqrt(xx) * std::sqrt(yy), xx, yy};
}

/// E over u of standard normals a, b: u = √xx·a, v = √yy·(c·a + √(1 − c²)·b), by the trapezoidal
/// rule on [−9, 9]², which for smooth functions is exact to what lies outside, e^−40; where φ'
/// jumps, at u = 0 and v = 0, to the square of the step.
template <class Function>
double expectation(const Function& f, double c, double xx, double yy) {
  constexpr int kSteps = 900;
  constexpr double kEnd = 9, kStep = kEnd / kSteps;
  const double sine = std::sqrt((1 - c) * (1 + c));
  double sum = 0;
  for (int i = -kSteps; i <= kSteps; ++i) {
    const double a = i * kStep, u = std::sqrt(xx) * a;
    double inner = 0;
    for (int j = -kSteps; j <= kSteps; ++j) {
      const double b = j * kStep;
      inner += phi(f, std::sqrt(yy) * (c * a + sine * b)) * std::exp(-b * b / 2);
    }
    sum += phi(f, u) * inner * std::exp(-a * a / 2);
  }
  return sum * kStep * kStep / (2 * pi);
}

template <class Check>
void for_each_pixel(const Check& check) {
  for (const Activation& activation : kAll) {
    ask(activation, [&](const auto& f) {
      CAPTURE(f.kName);
      CAPTURE(f.code().negative_slope);
      for (const double xx : kVariances) {
        for (const double yy : kVariances) {
          for (const double c : kCosines) {
            CAPTURE(xx);
            CAPTURE(yy);
            CAPTURE(c);
            check(f, pair(c, xx, yy));
          }
        }
      }
    });
  }
}

}  // namespace

TEST_CASE("F is the expectation of the product of the activation's values") {
  for (const Activation& activation : kAll) {
    ask(activation, [&](const auto& f) {
      CAPTURE(f.kName);
      for (const double c : {-1.0, -0.7, 0.0, 0.4, 0.99, 1.0}) {
        const double xx = 0.8, yy = 1.7, found = f.at(pair(c, xx, yy)).value;
        const double scale = std::sqrt(f.diagonal(xx) * f.diagonal(yy));
        CHECK(std::abs(found - expectation(f, c, xx, yy)) <= 1e-4 * scale);
        if (f.kName == Erf::kName) {
          CHECK(std::abs(found - expectation(f, c, xx, yy)) <= 1e-13 * scale);
        }
      }
    });
  }
}

TEST_CASE("a leaky relu of slope 0 is the relu, of 1 the identity, of −1 the absolute value") {
  for (const double xx : kVariances) {
    for (const double c : kCosines) {
      const PixelPair p = pair(c, xx, 2 * xx);
      CHECK(LeakyRelu{0}.at(p).value == Relu{}.at(p).value);
      CHECK(LeakyRelu{1}.at(p).value == p.xy);
      // E|u||v| = 2r/π·(√(1 − c²) + c·asin c)
      const double r = std::sqrt(p.xx) * std::sqrt(p.yy), cosine = std::clamp(p.xy / r, -1.0, 1.0);
      const double sine = std::sqrt((1 - cosine) * (1 + cosine));
      const double expected = 2 * r / pi * (sine + cosine * std::asin(cosine));
      CHECK(std::abs(LeakyRelu{-1}.at(p).value - expected) <= 1e-14 * r);
    }
  }
}

TEST_CASE("F of equal images is the diagonal, and none exceeds the mean of its diagonals") {
  for_each_pixel([](const auto& f, const PixelPair& p) {
    const double xx = f.diagonal(p.xx), yy = f.diagonal(p.yy);
    CHECK(std::abs(f.at({p.xx, p.xx, p.xx}).value - xx) <= 1e-14 * xx);
    CHECK(std::abs(f.at(p).value) <= (1 + 1e-14) * std::sqrt(xx) * std::sqrt(yy));
  });
}

TEST_CASE("F is symmetric, and keeps the sign as it says") {
  for_each_pixel([](const auto& f, const PixelPair& p) {
    const PairValue here = f.at(p), mirrored = f.at({p.xy, p.yy, p.xx});
    CHECK(here.value == mirrored.value);
    CHECK(here.by_xy == mirrored.by_xy);
    CHECK(here.by_xx == mirrored.by_yy);
    if (p.xy >= 0 || f.never_negative()) CHECK(here.value >= 0);
  });
}

TEST_CASE("no slope is steeper than the bound") {
  for_each_pixel([](const auto& f, const PixelPair& p) {
    const double bound = std::sqrt(f.steepest_slope(p.xx)) * std::sqrt(f.steepest_slope(p.yy));
    CHECK(std::abs(f.at(p).by_xy) <= (1 + 1e-14) * bound);
  });
}

TEST_CASE("derivatives of F and of the diagonal agree with central differences") {
  // With steps of h relative to each number, errors are h² times a third derivative over the first,
  // less than 1e3 here, and rounding over h.
  constexpr double kStep = 1e-5, kTolerance = 1e3 * kStep * kStep + 1e-14 / kStep;
  for (const Activation& activation : kAll) {
    ask(activation, [&](const auto& f) {
      CAPTURE(f.kName);
      for (const double xx : {0.01, 1.0, 30.0}) {
        for (const double yy : {0.3, 5.0}) {
          for (const double c : {-0.9, -0.3, 0.2, 0.8}) {
            const PixelPair p = pair(c, xx, yy);
            const PairValue at = f.at(p);
            const double scale = std::sqrt(f.diagonal(xx) * f.diagonal(yy));
            const auto check = [&](double PixelPair::*number, double derivative) {
              PixelPair more = p, less = p;
              const double h = kStep * std::sqrt(xx * yy);
              more.*number += h, less.*number -= h;
              const double difference = (f.at(more).value - f.at(less).value) / (2 * h);
              CHECK(std::abs(difference - derivative) * std::sqrt(xx * yy) <=
                    kTolerance * scale * 10 * std::max(xx / yy, yy / xx));
            };
            check(&PixelPair::xy, at.by_xy);
            check(&PixelPair::xx, at.by_xx);
            check(&PixelPair::yy, at.by_yy);
          }
        }
        const double h = kStep * xx;
        const double difference = (f.diagonal(xx + h) - f.diagonal(xx - h)) / (2 * h);
        CHECK(std::abs(difference - f.diagonal_slope(xx)) <= kTolerance * f.diagonal(xx) / xx);
      }
    });
  }
}

TEST_CASE("homogeneous is what says so") {
  for_each_pixel([](const auto& f, const PixelPair& p) {
    const double value = f.at(p).value, of_double = f.at({4 * p.xy, 4 * p.xx, 4 * p.yy}).value;
    if (f.kHomogeneous) {
      CHECK(of_double == 4 * value);
      CHECK(f.diagonal(4 * p.xx) == 4 * f.diagonal(p.xx));
    }
  });
  CHECK(Erf{}.diagonal(4) < 3.9 * Erf{}.diagonal(1));
}

TEST_CASE("black pixels give 0, and derivatives that are finite") {
  for (const Activation& activation : kAll) {
    ask(activation, [](const auto& f) {
      CAPTURE(f.kName);
      for (const double yy : {0.0, 1e-300, 1.0, 1e300}) {
        const PairValue at = f.at({0, 0, yy});
        CHECK(at.value == 0);
        CHECK(std::isfinite(at.by_xy));
        CHECK(at.by_xx == 0);
        CHECK(at.by_yy == 0);
      }
      CHECK(f.diagonal(0) == 0);
      CHECK(std::isfinite(f.diagonal_slope(0)));
      for (const double number : f.stored(0).pack) CHECK(std::isfinite(number));
    });
  }
}

TEST_CASE("erf is linear where variances are small and a sign where they are large") {
  // F → 4/π·xy; and 2/π·asin c, whose distance is of the order of 1/√xx.
  for (const double c : kCosines) {
    const PixelPair small = pair(c, 1e-20, 3e-20);
    CHECK(std::abs(Erf{}.at(small).value - 4 / pi * small.xy) <= 1e-15 * std::abs(small.xy));
    CHECK(std::abs(Erf{}.at(pair(c, 1e30, 2e30)).value - 2 / pi * std::asin(c)) <= 3e-8);
  }
  CHECK(std::abs(Erf{}.diagonal(1e300) - 1) <= 1e-15);
  CHECK(std::abs(Erf{}.diagonal(1e-300) - 4 / pi * 1e-300) <= 1e-315);
}

TEST_CASE("an activation that is homogeneous passes relative errors on undiminished at the worst") {
  const auto magnification = [](const auto& f, const PixelPair& p) {
    const double r = std::sqrt(p.xx) * std::sqrt(p.yy);
    return std::abs(f.at(p).by_xy) * r /
           (std::sqrt(f.diagonal(p.xx)) * std::sqrt(f.diagonal(p.yy)));
  };
  double largest = 0;
  for_each_pixel([&](const auto& f, const PixelPair& p) {
    if (f.kHomogeneous) CHECK(magnification(f, p) <= 1 + 1e-14);
    if (!f.kHomogeneous) largest = std::max(largest, magnification(f, p));
  });
  CHECK(largest > 1e5);
  // And an erf of variances up to 5 at most doubles them.
  for (double xx = 1e-3; xx <= 5; xx *= 1.1) {
    for (const double c : kCosines) CHECK(magnification(Erf{}, pair(c, xx, 5)) <= 2);
  }
  CHECK(magnification(Erf{}, {5, 5, 5}) > 1.9);
}

TEST_CASE("the kernels' code stands for the same activation") {
  for (const Activation& activation : kAll) {
    ask(activation, [&](const auto& f) {
      CHECK(activation_of(f.code()).index() == activation.index());
      CHECK(diagonal_of(f.code(), 1.3) == f.diagonal(1.3));
    });
  }
}

}  // namespace gramtile::activations_test
