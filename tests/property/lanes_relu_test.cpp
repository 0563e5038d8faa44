// The relu on lanes over the whole range of c, on hand-made operands whose √xx and 1/√xx are exact.
//
// With t = 1 − |c|, κ(c) = max(c, 0) + h(|c|), the kernel computes h as (r − |xy|)·√t·g(t). Every
// factor is accurate by itself, so the error is relative to κ even where κ(c) → 0 at c = −1. In
// units of u = 2⁻²⁴ or 2⁻⁵³: r − |xy| 1, t 1 (the root halves it), the polynomial 2½ (its
// constant's and its last rounding, and little from those before, as g is almost constant), root
// and two products 3½: 8 u of h, and 1 u of the last sum. On top: the error of the fit
// (relu_polynomials.hpp) and, with AVX-512, of the approximate root (relu-inl.hpp).
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <numbers>

#include "engine/activations/relu_table.hpp"
#include "engine/core/worst_of.hpp"
#include "tests/support/hand_lanes.hpp"
#include "tests/support/lane_runs.hpp"
#include "tests/support/rounding_bound.hpp"

namespace gramtile::test::lanes_relu_test {
namespace {

template <class T>
constexpr DataType kTypeOf = sizeof(T) == 4 ? DataType::kFloat32 : DataType::kFloat64;

template <class T>
double relative_bound(bool nonnegative) {
  return relu_fit_error(kTypeOf<T>, nonnegative) + 9 * unit_rounding(kTypeOf<T>);
}

// (sin φ − φ cos φ)/π with cos φ = |c|, from t = 1 − |c|, which is exact for c in T: no
// cancellation.
long double h(long double t) {
  const long double phi = 2 * std::asin(std::sqrt(t / 2));
  if (phi > 1) return (std::sin(phi) - phi * std::cos(phi)) / std::numbers::pi_v<long double>;
  // Σ_{n≥1} (−1)^{n+1} φ^{2n+1}·2n/(2n+1)!
  long double power = phi, sum = 0;  // φ^{2n+1}/(2n+1)!, with its sign
  for (int n = 1; n <= 12; ++n) {
    power *= -phi * phi / static_cast<long double>(2 * n * (2 * n + 1));
    sum -= power * static_cast<long double>(2 * n);
  }
  return sum / std::numbers::pi_v<long double>;
}

template <class T>
long double kappa(T c) {
  const auto exact = static_cast<long double>(c);
  return std::max(exact, 0.0L) + h(1 - std::abs(exact));
}

// A dense sweep; both ends and zero by steps of one and of powers of two.
template <class T>
std::vector<T> cosines() {
  std::vector<T> result{0, std::numeric_limits<T>::denorm_min(), std::numeric_limits<T>::min()};
  for (int i = 0; i <= 20000; ++i) result.push_back(static_cast<T>(i) / T(20000));
  const T step = std::numeric_limits<T>::epsilon() / 2;
  for (int i = 1; i <= 3000; ++i) result.push_back(1 - static_cast<T>(i) * step);
  for (T t = step; t < 1; t *= T(1.01)) result.push_back(1 - t);
  for (T c = 1; c > 0; c /= 8) result.push_back(c);
  const std::size_t size = result.size();
  for (std::size_t i = 0; i < size; ++i) result.push_back(-result[i]);
  return result;
}

// 1 × width images whose product goes through one relu; `by_rows`: through the path that feeds
// window sums, here a window of one pixel (the output then has a row and a column of zeros more).
LaneProgram relu_program(Index width, bool nonnegative, bool by_rows) {
  Program program;
  program.input = {.channels = 1, .height = 1, .width = width};
  program.num_activations = 1;
  program.values = {{{1, width}, nonnegative}, {{1, width}, true}};
  program.ops.push_back(ActivationOp{.input = 0, .output = 1});
  program.output = 1;
  if (by_rows) {
    Conv2dOp conv{.input = 1,
                  .output = 2,
                  .geometry = WindowGeometry::square({.pad_high = 1}),
                  .weight = {},
                  .bias = {}};
    conv.weight.value = 1;
    program.ops.push_back(conv);
    program.values.push_back({{2, width + 1}, true});
    program.output = 2;
  }
  return compile_lanes(program, false);
}

// relu of every c at √xx = row_root, √yy = column_root (powers of 2), in the order of `cs`.
template <class T>
std::vector<T> relus(const std::vector<T>& cs, bool nonnegative, bool by_rows, T row_root = 1,
                     T column_root = 1) {
  const std::size_t lanes = HandLanes<T>::lanes();
  const std::size_t width = (cs.size() + lanes - 1) / lanes;
  const LaneProgram program = relu_program(static_cast<Index>(width), nonnegative, by_rows);
  HandLanes<T> run(program);
  for (std::size_t p = 0; p < width; ++p) {
    run.row()[p] = row_root;
    run.row()[width + p] = row_root;
    run.row()[2 * width + p] = T(0.5) / row_root;
    for (std::size_t l = 0; l < lanes; ++l) {
      const std::size_t i = p * lanes + l;
      run.pack()[i] = (i < cs.size() ? cs[i] : T(0)) * column_root;
      run.pack()[width * lanes + i] = column_root;
      run.pack()[2 * width * lanes + i] = 1 / column_root;
    }
  }
  run.run();
  const MapShape shape = program.steps.back().output;
  std::vector<T> result(cs.size());
  for (std::size_t i = 0; i < cs.size(); ++i) {
    const auto x = static_cast<Index>(i / lanes);
    result[i] = run.output()[static_cast<std::size_t>(pixel_row(shape, 0)[x]) * lanes + i % lanes];
  }
  return result;
}

// Largest error relative to κ(c) in units of the bound.
template <class T>
double largest_error(const std::vector<T>& cs, const std::vector<T>& values) {
  double largest = 0;
  for (std::size_t i = 0; i < cs.size(); ++i) {
    CAPTURE(cs[i]);
    REQUIRE(std::isfinite(values[i]));
    const long double exact = kappa(cs[i]) / 2;
    const long double error = std::abs(static_cast<long double>(values[i]) - exact);
    if (exact == 0) {
      REQUIRE(error == 0);
    } else {
      largest = worst_of(largest, static_cast<double>(error / exact));
    }
  }
  return largest;
}

template <class T>
std::vector<T> nonnegative_part(const std::vector<T>& cs) {
  std::vector<T> result;
  for (const T c : cs) {
    if (!std::signbit(c)) result.push_back(c);
  }
  return result;
}

TEST_CASE_TEMPLATE("the relu keeps its bound, relative to itself, over the whole range of c", T,
                   float, double) {
  const std::vector<T> cs = cosines<T>();
  const double error = largest_error(cs, relus(cs, false, false));
  MESSAGE(name_of(kTypeOf<T>) << ", any c: " << error << " of " << relative_bound<T>(false));
  CHECK(error <= relative_bound<T>(false));
  const std::vector<T> nonnegative = nonnegative_part(cs);
  const double error_nonnegative = largest_error(nonnegative, relus(nonnegative, true, false));
  MESSAGE(name_of(kTypeOf<T>) << ", c >= 0: " << error_nonnegative << " of "
                              << relative_bound<T>(true));
  CHECK(error_nonnegative <= relative_bound<T>(true));
}

TEST_CASE_TEMPLATE("the relu is exact at c = 1 and c = -1", T, float, double) {
  for (const bool by_rows : {false, true}) {
    CHECK(relus<T>({1, -1}, false, by_rows) == std::vector<T>{T(0.5), 0});
    CHECK(relus<T>({1}, true, by_rows) == std::vector<T>{T(0.5)});
  }
}

TEST_CASE_TEMPLATE("the relu that feeds a window sum has the bits of the one that stands alone", T,
                   float, double) {
  std::vector<T> cs = cosines<T>();
  CHECK(relus(cs, false, true) == relus(cs, false, false));
  // An odd number of pixels: the last is computed alone.
  cs.resize(HandLanes<T>::lanes() * 5);
  CHECK(relus(cs, false, true) == relus(cs, false, false));
  const std::vector<T> nonnegative = nonnegative_part(cosines<T>());
  CHECK(relus(nonnegative, true, true) == relus(nonnegative, true, false));
}

TEST_CASE_TEMPLATE("the relu scales with the roots of the variances", T, float, double) {
  // Powers of two: exact but for what falls below the smallest normal number, hence 4 of the
  // smallest steps there. 2^-116 and 2^124 (float) stand inside the limits of prepared_block.cpp.
  const std::vector<T> cs = cosines<T>();
  const bool is_float = sizeof(T) == 4;
  for (const auto& [row, column] : {std::pair{-58, -58}, {62, 60}, {-40, 50}, {3, -58}}) {
    const int factor = is_float ? 1 : 8;
    const T row_root = std::ldexp(T(1), row * factor),
            column_root = std::ldexp(T(1), column * factor);
    const long double r =
        static_cast<long double>(row_root) * static_cast<long double>(column_root);
    const std::vector<T> values = relus(cs, false, false, row_root, column_root);
    const long double step = std::numeric_limits<T>::denorm_min();
    for (std::size_t i = 0; i < cs.size(); ++i) {
      const T c = static_cast<T>(cs[i] * row_root * column_root / row_root / column_root);
      if (c != cs[i]) continue;  // not representable at this scale
      const long double exact = r * kappa(c) / 2;
      const long double error = std::abs(static_cast<long double>(values[i]) - exact);
      REQUIRE(error <= static_cast<long double>(relative_bound<T>(false)) * exact + 4 * step);
    }
  }
}

TEST_CASE_TEMPLATE("a covariance beyond the variances, by rounding, counts as c = 1 or -1", T,
                   float, double) {
  // f = max(xy, 0) + (r − |xy|)·√kTiny·g, and √kTiny ≤ 1e-15.
  std::vector<T> cs;
  for (int i = 1; i <= 64; ++i)
    cs.push_back(1 + static_cast<T>(i) * std::numeric_limits<T>::epsilon());
  const std::vector<T> above = relus(cs, false, false);
  CHECK(relus(cs, true, true) == above);
  for (T& c : cs) c = -c;
  const std::vector<T> below = relus(cs, false, false);
  for (std::size_t i = 0; i < cs.size(); ++i) {
    CHECK(above[i] == -cs[i] / 2);
    CHECK(std::abs(below[i]) <= T(1e-15) * (-1 - cs[i]));
  }
}

TEST_CASE_TEMPLATE("up to the table's margin beyond the variances the relu stays near", T, float,
                   double) {
  // The table's first cubic, continued: 4e-6 · r at its end.
  std::vector<T> cs;
  for (double beyond = 1e-7; beyond < kReluTableMargin; beyond *= 1.1) {
    cs.push_back(static_cast<T>(1 + beyond));
  }
  const std::vector<T> values = relus(cs, true, true);
  for (std::size_t i = 0; i < cs.size(); ++i) {
    CAPTURE(cs[i]);
    CHECK(std::abs(values[i] - cs[i] / 2) <= T(2e-6));
  }
}

TEST_CASE("images of one pixel at any angle reach the closed form within the derived bound") {
  // Two channels: x = (1, 0), y = (cos θ, sin θ), so c = cos θ; angles from 1e-12 to π − 1e-12.
  const ImageShape shape{.channels = 2, .height = 1, .width = 1};
  Images rows{shape, {3, 0}}, columns{shape, {}};
  std::vector<double> angles{0, std::numbers::pi};
  for (double a = 1e-12; a < 1.6; a *= 1.3) {
    angles.push_back(a);
    angles.push_back(std::numbers::pi - a);
  }
  for (const double a : angles) columns.append(std::vector<double>{std::cos(a), std::sin(a)});
  for (
      const char* json :
      {R"({"layers": [{"type": "relu"}]})",
       R"({"layers": [{"type": "conv2d", "kernel_size": 1, "var_weight": 2}, {"type": "relu"}]})"}) {
    const Program program = program_of(json, shape);
    const double weight = program.ops.size() == 2 ? 2 : 1;
    for (const DataType type : kDataTypes) {
      const auto kernel = lane_kernel(program, rows, columns, {type});
      for (std::size_t i = 0; i < angles.size(); ++i) {
        // r = weight·√(9/2 · 1/2); K(x, x)·K(y, y) = (r/2)²
        const double r = weight * 1.5, a = angles[i];
        const double f =
            r * (std::sin(a) + (std::numbers::pi - a) * std::cos(a)) / (2 * std::numbers::pi);
        CAPTURE(a);
        CHECK(std::abs(kernel[i] - f) <= kernel_bound(program, type) * r / 2);
      }
    }
  }
}

}  // namespace
}  // namespace gramtile::test::lanes_relu_test
