// The last relu and the first, where a gradient turns and ends, by themselves: maps of every height
// up to three groups of rows, against (23) to (26) of docs/mathematics.md in double.
//
// In units of u = 2⁻²⁴ or 2⁻⁵³: xy 1 (one fused product and sum of at most 2), 1/(2r) 2, so c is
// off by 5; at |c| ≤ 0.95 the angle by 3.3 times as much and sin θ by 3.1. Slope and sine by
// themselves 9 (gradient_relu_test.cpp) and the errors of their fits; products with T, weight and
// √xx 3; and a sum of n terms by n of the sum of their sizes.
#include "tests/support/parts/relu_ends.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numbers>
#include <random>
#include <string>
#include <vector>

#include "engine/core/aligned_buffer.hpp"
#include "engine/core/worst_of.hpp"
#include "engine/simd/kernels.hpp"
#include "tests/support/derivative_bound.hpp"
#include "tests/support/rounding_bound.hpp"

namespace gramtile::test::relu_ends_test {
namespace {

enum class Which { kTurn, kEnd, kEndInPairs };

/// A sum and the sum of its terms' sizes.
struct Sum {
  double value = 0, size = 0;
  Index terms = 0;
  void add(double term) {
    value += term;
    size += std::abs(term);
    ++terms;
  }
};

/// One map with random numbers, run and checked.
template <class T>
class ReluEndsCheck {
 public:
  ReluEndsCheck(const MapShape& shape, bool nonnegative, Which which)
      : shape_(shape), which_(which), nonnegative_(nonnegative), random_(11) {
    for (auto* row : {&row_root_, &row_half_inverse_, &row_bend_}) *row = buffer(pixels() + 16);
    for (auto* map : {&sums_, &adjoint_, &column_root_, &column_inverse_, &column_bend_})
      *map = buffer((pixels() + kGroupRows) * kLanes);
    scratch_ = buffer(kGroupRows * shape.width * kLanes);
    draw();
  }

  /// The largest part of its bound that any result used.
  double run() {
    AlignedBuffer<T> totals = buffer(2 * kLanes);
    const ReluEndsResult<T> to{totals.data(), totals.data() + kLanes, column_bend_.data(),
                               row_bend_.data()};
    const ReluEndsJob<T> job{shape_,
                             nonnegative_,
                             kWeight,
                             kBias,
                             kWeightBehind,
                             sums_.data(),
                             adjoint_.data(),
                             row_root_.data(),
                             row_half_inverse_.data(),
                             column_root_.data(),
                             column_inverse_.data(),
                             scratch_.data(),
                             which_ == Which::kEndInPairs};
    which_ == Which::kTurn ? run_relu_turn(job, to) : run_relu_end(job, to);
    for (Index lane = 0; lane < kLanes; ++lane) check_lane(lane, to);
    for (Index pixel = 0; pixel < pixels(); ++pixel) check_row_bend(pixel);
    return used_;
  }

 private:
  struct Pixel {
    double adjoint, sine;  // T·w·slope, T·w·sin θ
  };

  static AlignedBuffer<T> buffer(Index size) {
    AlignedBuffer<T> result(static_cast<std::size_t>(size));
    std::fill_n(result.data(), size, T(0));
    return result;
  }
  Index pixels() const { return shape_.num_pixels(); }
  T uniform(double low, double high) {
    return static_cast<T>(std::uniform_real_distribution<double>(low, high)(random_));
  }

  /// S such that xy = c·r with |c| ≤ 0.95.
  void draw() {
    for (Index i = 0; i < pixels(); ++i) {
      row_root_.data()[i] = uniform(0.5, 2);
      row_half_inverse_.data()[i] = T(0.5) / row_root_.data()[i];
      for (Index at = i * kLanes; at < (i + 1) * kLanes; ++at) {
        column_root_.data()[at] = uniform(0.5, 2);
        column_inverse_.data()[at] = T(1) / column_root_.data()[at];
        const double r = double(row_root_.data()[i]) * double(column_root_.data()[at]);
        const double c = uniform(nonnegative_ ? 0.001 : -0.95, 0.95);
        sums_.data()[at] = static_cast<T>((c * r - double(kBias)) / double(kWeight));
        adjoint_.data()[at] = uniform(-1, 1);
      }
    }
  }

  Pixel expected(Index pixel, Index lane) const {
    const Index at = pixel * kLanes + lane;
    const double xy = double(kWeight) * double(sums_.data()[at]) + double(kBias);
    const double c = xy / (double(row_root_.data()[pixel]) * double(column_root_.data()[at]));
    const double t = adjoint_.data()[which_ == Which::kTurn ? lane : at];
    return {t * kWeightBehind * (1 - std::acos(c) / std::numbers::pi),
            t * kWeightBehind * std::sqrt(1 - c * c)};
  }

  /// `largest`: what the error of one term is relative to.
  void check(double found, const Sum& sum, double largest) {
    const ReluDerivativeFit fit = relu_derivative_fit(kType);
    const double fits = std::max({fit.angle, fit.nonnegative_angle_at(0), fit.sine});
    const double bound = largest * (fits + (9 + 5 * 3.3 + 3) * unit_rounding(kType)) +
                         sum.size * static_cast<double>(sum.terms) * unit_rounding(kType);
    REQUIRE(std::abs(found - sum.value) <= bound);
    used_ = worst_of(used_, std::abs(found - sum.value) / bound);
  }

  void check_lane(Index lane, const ReluEndsResult<T>& found) {
    Sum adjoint, weight;
    double adjoints = 0, weights = 0;
    for (Index pixel = 0; pixel < pixels(); ++pixel) {
      const Index at = pixel * kLanes + lane;
      const Pixel p = expected(pixel, lane);
      const double t =
          std::abs(kWeightBehind * adjoint_.data()[which_ == Which::kTurn ? lane : at]);
      const double root = row_root_.data()[pixel];
      Sum bend;
      bend.add(p.sine * root);
      check(column_bend_.data()[at], bend, t * root);
      adjoint.add(p.adjoint);
      weight.add(p.adjoint * sums_.data()[at]);
      adjoints += t;
      weights += t * std::abs(double(sums_.data()[at]));
    }
    check(found.adjoint_sum[lane], adjoint, adjoints);
    if (which_ != Which::kTurn) check(found.weight_sum[lane], weight, weights);
  }

  void check_row_bend(Index pixel) {
    Sum bend;
    double bends = 0;
    for (Index lane = 0; lane < kLanes; ++lane) {
      const Index at = pixel * kLanes + lane;
      const double root = column_root_.data()[at];
      const double t = adjoint_.data()[which_ == Which::kTurn ? lane : at];
      bend.add(expected(pixel, lane).sine * root);
      bends += std::abs(kWeightBehind * t) * root;
    }
    check(row_bend_.data()[pixel], bend, bends);
  }

  static constexpr DataType kType = sizeof(T) == 4 ? DataType::kFloat32 : DataType::kFloat64;
  static constexpr T kWeight = T(0.75), kBias = T(0.125);
  static constexpr double kWeightBehind = 0.625;
  const Index kLanes = simd::kernels<T>().lanes;
  MapShape shape_;
  Which which_;
  bool nonnegative_;
  std::mt19937_64 random_;
  AlignedBuffer<T> row_root_, row_half_inverse_, row_bend_;
  AlignedBuffer<T> sums_, adjoint_, column_root_, column_inverse_, column_bend_, scratch_;
  double used_ = 0;
};

template <class T>
void check_shapes(Which which) {
  double used = 0;
  for (Index height = 1; height <= 12; ++height) {
    for (const Index width : {1, 2, 3, 5, 8, 17, 28}) {
      for (const bool nonnegative : {false, true}) {
        CAPTURE(height);
        CAPTURE(width);
        CAPTURE(nonnegative);
        used = worst_of(used, ReluEndsCheck<T>({height, width}, nonnegative, which).run());
      }
    }
  }
  MESSAGE("uses " << used << " of its bound");
}

}  // namespace

TEST_CASE_TEMPLATE("the last relu, forwards and backwards in one loop, gives its derivatives", T,
                   float, double) {
  check_shapes<T>(Which::kTurn);
}

TEST_CASE_TEMPLATE("the first relu gives the derivatives of the step that reads the images", T,
                   float, double) {
  check_shapes<T>(Which::kEnd);
  check_shapes<T>(Which::kEndInPairs);
}

}  // namespace gramtile::test::relu_ends_test
