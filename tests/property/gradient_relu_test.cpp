// The relu's two derivatives on lanes over the whole range of c, on hand-made operands whose √xx
// and 1/√xx are 1: slope ∂f/∂xy = (1 − acos(c)/π)/2 and bend 2 xx ∂f/∂xx = √(1−c²)/2π.
//
// In units of u = 2⁻²⁴ or 2⁻⁵³, each relative to acos|c|/π or √(1−c²): t = 1 − |c| 1 (the root
// halves it), polynomial 2½, root and products 4½: 8 u, and 1 u of the slope's last difference. On
// top, the errors of the fits (relu_derivative_fit). At |c| = 1 the root of the smallest t, not 0.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>
#include <string>
#include <vector>

#include "engine/backend/lanes/tile_derivative.hpp"
#include "engine/core/worst_of.hpp"
#include "engine/simd/kernels.hpp"
#include "tests/support/derivative_bound.hpp"
#include "tests/support/rounding_bound.hpp"

namespace gramtile::test::gradient_relu_test {
namespace {

template <class T>
constexpr DataType kTypeOf = sizeof(T) == 4 ? DataType::kFloat32 : DataType::kFloat64;

/// √(2 · kTiny) of relu-inl.hpp, and the constant of acos or the sine, at most 1.5.
template <class T>
constexpr double kAtOne = sizeof(T) == 4 ? 2.2e-15 : 2.2e-145;

template <class T>
std::vector<T> cosines() {
  std::vector<T> result{0, std::numeric_limits<T>::min()};
  for (int i = 0; i <= 20000; ++i) result.push_back(static_cast<T>(i) / T(20000));
  const T step = std::numeric_limits<T>::epsilon() / 2;
  for (int i = 1; i <= 1000; ++i) result.push_back(1 - static_cast<T>(i) * step);
  for (T t = step; t < 1; t *= T(1.01)) result.push_back(1 - t);
  const std::size_t size = result.size();
  for (std::size_t i = 0; i < size; ++i) result.push_back(-result[i]);
  return result;
}

template <class T>
struct Derivatives {
  std::vector<T> slope, bend;
};

/// A 1 × n image through one relu, for every c, with an adjoint of 1 at every pixel.
template <class T>
class HandReverse {
 public:
  HandReverse(const std::vector<T>& cs, bool nonnegative)
      : num_pixels_((static_cast<Index>(cs.size()) + lanes() - 1) / lanes()) {
    program_.input = {.channels = 1, .height = 1, .width = num_pixels_};
    program_.num_activations = 1;
    program_.values = {{{1, num_pixels_}, nonnegative}, {{1, num_pixels_}, true}};
    program_.ops.push_back(ActivationOp{.input = 0, .output = 1});
    program_.output = 1;
    forward_ = compile_lanes(program_, true);
    reverse_ = reverse_lanes(forward_, program_);
    const Index num_values = values_per_example(forward_.view());
    row_ = AlignedBuffer<T>(as_size(num_values));
    pack_ = AlignedBuffer<T>(as_size(num_values * lanes()));
    std::fill_n(row_.data(), 2 * num_pixels_, T(1));
    std::fill_n(row_.data() + 2 * num_pixels_, num_pixels_, T(0.5));  // ½/√xx
    std::fill_n(pack_.data(), pack_.size(), T(1));
    std::copy(cs.begin(), cs.end(), pack_.data());
  }

  Derivatives<T> run(std::size_t count) {
    DerivativeWorkspace<T> w(reverse_, false);
    const PackOperands<T> pack{row_.data(), pack_.data(), w.pair.slots.data(),
                               w.pair.scratch.data()};
    simd::kernels<T>().forward(forward_.view(), pack);
    std::fill_n(w.seeds.data(), w.seeds.size(), T(1));
    std::fill_n(w.adjoints.data(), w.adjoints.size(), T(1));
    std::vector<double> raw(as_size(reverse_.num_raw()));
    std::vector<T> row_bend(as_size(num_pixels_));
    AlignedBuffer<T> bend(as_size(num_pixels_ * lanes()));
    std::fill_n(bend.data(), bend.size(), T(0));
    simd::kernels<T>().gradient(
        reverse_.view(), {pack, w.seeds.data(), w.adjoints.data(), w.group.data(), raw.data(),
                          bend.data(), row_bend.data(), true});
    const T* slope =
        w.adjoints.data() + reverse_.steps[0].source_adjoint * forward_.slot_pixels * lanes();
    const auto size = static_cast<std::ptrdiff_t>(count);
    return {{slope, slope + size}, {bend.data(), bend.data() + size}};
  }

 private:
  static Index lanes() { return simd::kernels<T>().lanes; }

  Index num_pixels_;
  Program program_;
  LaneProgram forward_;
  ReverseProgram reverse_;
  AlignedBuffer<T> row_, pack_;
};

/// Checks both derivatives of every c against long double.
template <class T>
void check_derivatives(const std::vector<T>& cs, bool nonnegative) {
  using std::numbers::pi_v;
  const double u = unit_rounding(kTypeOf<T>);
  const ReluDerivativeFit fit = relu_derivative_fit(kTypeOf<T>);
  const Derivatives<T> found = HandReverse<T>(cs, nonnegative).run(cs.size());
  double used_slope = 0, used_bend = 0;
  for (std::size_t i = 0; i < cs.size(); ++i) {
    CAPTURE(cs[i]);
    const auto c = static_cast<long double>(cs[i]);
    // Of |c|, so that nothing cancels near c = −1.
    const long double exact_angle = std::acos(std::abs(c)) / pi_v<long double>;
    const long double slope = c < 0 ? exact_angle : 1 - exact_angle;
    const auto angle = static_cast<double>(exact_angle);
    const double sine = static_cast<double>(std::sqrt((1 - c) * (1 + c)) / pi_v<long double>);
    const auto size = static_cast<double>(slope);
    const double fit_error =
        nonnegative ? fit.nonnegative_angle_at(static_cast<double>(c)) * size : fit.angle * angle;
    const double slope_bound = fit_error + 8 * u * angle + u * size + kAtOne<T>;
    const double bend_bound = (fit.sine + 8 * u) * sine + kAtOne<T>;
    const double slope_error =
        static_cast<double>(std::abs(2 * static_cast<long double>(found.slope[i]) - slope));
    const double bend_error =
        std::abs(2 * static_cast<double>(found.bend[i]) / std::numbers::pi - sine);
    REQUIRE(slope_error <= slope_bound);
    REQUIRE(bend_error <= bend_bound);
    used_slope = worst_of(used_slope, slope_error / slope_bound);
    used_bend = worst_of(used_bend, bend_error / bend_bound);
  }
  MESSAGE(name_of(kTypeOf<T>) << std::string(nonnegative ? ", c ≥ 0" : ", any c") << ": slope uses "
                              << used_slope << " of its bound, bend " << used_bend);
}

}  // namespace

TEST_CASE_TEMPLATE("the relu's derivatives keep their bounds over the whole range of c", T, float,
                   double) {
  std::vector<T> cs = cosines<T>();
  check_derivatives<T>(cs, false);
  std::erase_if(cs, [](T c) { return std::signbit(c); });
  check_derivatives<T>(cs, true);
}

}  // namespace gramtile::test::gradient_relu_test
