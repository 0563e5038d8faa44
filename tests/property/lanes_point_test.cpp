// Point steps on lanes over the whole range of (xy, xx, yy), on hand-made operands: every
// activation that makes a map of its own, against its definition in double.
//
// Errors are relative to s = √(F(xx, xx, xx)·F(yy, yy, yy)). In units of u = 2⁻²⁴ or 2⁻⁵³, and as
// derived in rounding_bound.cpp for an xy that is exact and stored numbers off by 1 u each: of the
// leaky relu 2·(9 u + fit) and 9 u; of erf 14 u, and what F moves by when xy is off by 8 u of
// √(xx·yy). Derivatives likewise (derivative_bound.cpp), each beside the largest that counts.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <vector>

#include "engine/activations/activation.hpp"
#include "engine/backend/lanes/tile_derivative.hpp"
#include "engine/core/worst_of.hpp"
#include "tests/support/derivative_bound.hpp"
#include "tests/support/hand_lanes.hpp"
#include "tests/support/lane_runs.hpp"
#include "tests/support/rounding_bound.hpp"
#include "tests/support/short_form.hpp"

namespace gramtile::test::lanes_point_test {
namespace {

template <class T>
constexpr DataType kTypeOf = sizeof(T) == 4 ? DataType::kFloat32 : DataType::kFloat64;

const std::vector<Activation> kPoints{LeakyRelu{0.2}, LeakyRelu{-1}, LeakyRelu{1}, LeakyRelu{-0.3},
                                      LeakyRelu{4},   LeakyRelu{0},  Erf{}};

/// Exact numbers of T: every cosine, at steps of the type near 0 and ±1, and pairs of variances
/// over most of the type's range, 0 among them.
template <class T>
std::vector<PixelPair> pixels() {
  std::vector<double> cosines;
  const Index steps = many_or_few(200, 20);
  for (Index i = 0; i <= steps; ++i) {
    cosines.push_back(static_cast<double>(i) / static_cast<double>(steps));
  }
  const auto factor = static_cast<double>(many_or_few(2, 8));
  for (double t = 0.5; t > std::numeric_limits<T>::epsilon() / 4; t /= factor) {
    cosines.push_back(1 - t);
    cosines.push_back(t);
  }
  const double large = sizeof(T) == 4 ? 1e30 : 1e250;
  const double variances[] = {0,   1 / large, 1e-20, 1e-8, 0.01, 0.4,  1,
                              3.7, 50,        1e3,   1e6,  1e12, large};
  std::vector<PixelPair> result;
  for (const double xx : variances) {
    for (const double yy : variances) {
      for (const double c : cosines) {
        const double xy = static_cast<double>(static_cast<T>(c * std::sqrt(xx) * std::sqrt(yy)));
        result.push_back({xy, xx, yy});
        result.push_back({-xy, xx, yy});
      }
      if (xx == yy) result.push_back({static_cast<double>(static_cast<T>(xx)), xx, yy});
    }
  }
  return result;
}

/// A map of one row whose product goes through one activation.
Program point_program(const Activation& activation, Index width) {
  Program program;
  program.input = {.channels = 1, .height = 1, .width = width};
  program.num_activations = 1;
  program.values = {{{1, width}, false}, {{1, width}, false}};
  program.ops.push_back(ActivationOp{.input = 0, .output = 1, .activation = activation});
  program.output = 1;
  return program;
}

/// F of every pixel: the row image's numbers differ from pixel to pixel, the lanes are those of one
/// pixel column, all alike.
template <class T>
std::vector<T> lane_values(const Activation& activation, const std::vector<PixelPair>& pixels) {
  const auto width = static_cast<std::size_t>(pixels.size());
  const std::size_t lanes = HandLanes<T>::lanes();
  const LaneProgram program =
      compile_lanes(point_program(activation, static_cast<Index>(width)), false, {0, 0});
  HandLanes<T> run(program);
  for (std::size_t p = 0; p < width; ++p) {
    const auto [x, y] = ask(activation, [&](const auto& f) {
      return std::pair{f.stored(pixels[p].xx), f.stored(pixels[p].yy)};
    });
    run.row()[p] = 1;
    for (std::size_t k = 0; k < 2; ++k) run.row()[(k + 1) * width + p] = static_cast<T>(x.row[k]);
    for (std::size_t l = 0; l < lanes; ++l) {
      run.pack()[p * lanes + l] = static_cast<T>(pixels[p].xy);
      for (std::size_t k = 0; k < 2; ++k) {
        run.pack()[((k + 1) * width + p) * lanes + l] = static_cast<T>(y.pack[k]);
      }
    }
  }
  run.run();
  std::vector<T> result;
  for (std::size_t p = 0; p < width; ++p) {
    const std::size_t at = static_cast<std::size_t>(
        pixel_row({1, static_cast<Index>(width)}, 0)[static_cast<Index>(p)]);
    for (std::size_t l = 0; l < lanes; ++l) {
      REQUIRE(run.output()[at * lanes + l] == run.output()[at * lanes]);
    }
    result.push_back(run.output()[at * lanes]);
  }
  return result;
}

double scale_of(const auto& f, const PixelPair& p) {
  return std::sqrt(f.diagonal(p.xx)) * std::sqrt(f.diagonal(p.yy));
}

double value_bound(const LeakyRelu& leaky, const PixelPair& p, DataType type) {
  const double u = unit_rounding(type);
  return (2 * (9 * u + relu_fit_error(type, false)) + 9 * u) * scale_of(leaky, p);
}
double value_bound(const Erf& erf, const PixelPair& p, DataType type) {
  const double u = unit_rounding(type), moved = 8 * u * std::sqrt(p.xx) * std::sqrt(p.yy);
  const double here = erf.at(p).value;
  const double change = worst_of(std::abs(erf.at({p.xy + moved, p.xx, p.yy}).value - here),
                                 std::abs(erf.at({p.xy - moved, p.xx, p.yy}).value - here));
  return 14 * u * scale_of(erf, p) + change;
}
double value_bound(const Relu&, const PixelPair&, DataType) { return 0; }

TEST_CASE_TEMPLATE("point steps are accurate for every pixel that a type can hold", T, float,
                   double) {
  const std::vector<PixelPair> all = pixels<T>();
  for (const Activation& activation : kPoints) {
    const std::vector<T> values = lane_values<T>(activation, all);
    ask(activation, [&](const auto& f) {
      CAPTURE(f.kName);
      CAPTURE(f.code().negative_slope);
      double used = 0;
      for (std::size_t i = 0; i < all.size(); ++i) {
        CAPTURE(all[i].xy);
        CAPTURE(all[i].xx);
        CAPTURE(all[i].yy);
        REQUIRE(std::isfinite(values[i]));
        const double error = std::abs(static_cast<double>(values[i]) - f.at(all[i]).value);
        const double bound =
            value_bound(f, all[i], kTypeOf<T>) + smallest_normal(kTypeOf<T>) * (1 + f.diagonal(1));
        REQUIRE(error <= bound);
        used = worst_of(used, error / bound);
      }
      MESSAGE(f.kName << " " << f.code().negative_slope << ": at most " << used << " of its bound");
    });
  }
}

/// A pack of pairs of one pixel through one activation and back, xx the same for all.
template <class T>
class HandPoint {
 public:
  HandPoint(const Activation& activation, double xx)
      : activation_(activation),
        program_(point_program(activation, 1)),
        forward_(compile_lanes(program_, true, {0, 0})),
        reverse_(reverse_lanes(forward_, program_)),
        w_(reverse_, false),
        row_(3),
        pack_(3 * lanes()),
        bend_(lanes()) {
    const StoredNumbers stored = ask(activation, [&](const auto& f) { return f.stored(xx); });
    row_.data()[0] = 1;
    for (std::size_t k = 0; k < 2; ++k) row_.data()[k + 1] = static_cast<T>(stored.row[k]);
  }

  struct Result {
    std::vector<T> by_xy, by_yy, diagonal_slope;
    T row_bend = 0;
  };
  /// As many pairs as there are lanes.
  Result run(std::span<const PixelPair> pairs) {
    const std::size_t n = lanes();
    for (std::size_t l = 0; l < n; ++l) {
      const StoredNumbers y =
          ask(activation_, [&](const auto& f) { return f.stored(pairs[l].yy); });
      pack_.data()[l] = static_cast<T>(pairs[l].xy);
      for (std::size_t k = 0; k < 2; ++k) pack_.data()[(k + 1) * n + l] = static_cast<T>(y.pack[k]);
    }
    const PackOperands<T> pack{row_.data(), pack_.data(), w_.pair.slots.data(),
                               w_.pair.scratch.data()};
    simd::kernels<T>().forward(forward_.view(), pack);
    std::fill_n(w_.seeds.data(), n, T(1));
    std::fill_n(bend_.data(), n, T(0));
    std::vector<double> raw(static_cast<std::size_t>(reverse_.num_raw()));
    Result result;
    simd::kernels<T>().gradient(
        reverse_.view(), {pack, w_.seeds.data(), w_.adjoints.data(), w_.group.data(), raw.data(),
                          bend_.data(), &result.row_bend, true});
    result.by_xy = adjoint();
    result.diagonal_slope = chain(nullptr);
    std::fill_n(w_.seeds.data(), n, T(0));
    result.by_yy = chain(bend_.data());
    return result;
  }

 private:
  static std::size_t lanes() { return HandLanes<T>::lanes(); }
  std::vector<T> adjoint() const {
    const T* from =
        w_.adjoints.data() +
        static_cast<std::size_t>(reverse_.steps[0].source_adjoint * forward_.slot_pixels) * lanes();
    return {from, from + lanes()};
  }
  std::vector<T> chain(const T* bend) {
    simd::kernels<T>().chain(reverse_.view(), {.pack = pack_.data(),
                                               .seeds = w_.seeds.data(),
                                               .bend = bend,
                                               .adjoints = w_.adjoints.data(),
                                               .scratch = w_.pair.scratch.data(),
                                               .raw = w_.raw.data()});
    return adjoint();
  }

  Activation activation_;
  Program program_;
  LaneProgram forward_;
  ReverseProgram reverse_;
  DerivativeWorkspace<T> w_;
  AlignedBuffer<T> row_, pack_, bend_;
};

/// The part of a bound that an error uses, and the error itself held to it.
double part_of(double error, double bound) {
  REQUIRE(error <= bound);
  return error == 0 ? 0 : error / bound;
}

template <class T>
double check_derivatives(const auto& f, std::span<const PixelPair> pairs) {
  const SlopeBounds bounds(kTypeOf<T>, 0, AngleErrors::kIndependent);
  HandPoint<T> hand(f, pairs[0].xx);
  const auto result = hand.run(pairs);
  const double least = smallest_normal(kTypeOf<T>);
  double used = 0;
  for (std::size_t l = 0; l < pairs.size(); ++l) {
    CAPTURE(pairs[l].xy);
    CAPTURE(pairs[l].xx);
    CAPTURE(pairs[l].yy);
    const PairValue exact = f.at(pairs[l]);
    const Slopes slopes = bounds.of(f, pairs[l]);
    const auto check = [&](T found, double expected, double bound) {
      REQUIRE(std::isfinite(found));
      const double error = std::abs(static_cast<double>(found) - expected);
      used = worst_of(used, part_of(error, bound + least * (1 + f.diagonal_slope(0))));
    };
    check(result.by_xy[l], exact.by_xy, slopes.error.by_xy);
    check(result.by_yy[l], exact.by_yy, slopes.error.by_yy);
    const double slope = f.diagonal_slope(pairs[l].yy);
    check(result.diagonal_slope[l], slope,
          (bounds.diagonal_error(f) + 4 * unit_rounding(kTypeOf<T>)) * slope);
  }
  return used;
}

TEST_CASE_TEMPLATE("derivatives of point steps are accurate for every pixel that a type can hold",
                   T, float, double) {
  std::vector<PixelPair> all = pixels<T>();
  // √xx/√yy in the relu's bend, and its inverse, are numbers of T themselves.
  std::erase_if(all, [](const PixelPair& p) { return p.xx * p.yy == 0; });
  std::ranges::stable_sort(all, {}, &PixelPair::xx);
  const std::size_t n = HandLanes<T>::lanes();
  for (const Activation& activation : kPoints) {
    double used = 0;
    for (std::size_t i = 0; i + n <= all.size(); i += n) {
      const std::span<const PixelPair> pairs(all.data() + i, n);
      if (pairs.front().xx != pairs.back().xx) continue;
      ask(activation, [&](const auto& f) {
        CAPTURE(f.kName);
        CAPTURE(f.code().negative_slope);
        if constexpr (!std::decay_t<decltype(f)>::kFused) {
          used = worst_of(used, check_derivatives<T>(f, pairs));
        }
      });
    }
    MESSAGE("at most " << used << " of the bound");
  }
}

TEST_CASE_TEMPLATE("point steps have the same bits whichever image is the row", T, float, double) {
  std::vector<PixelPair> all = pixels<T>(), mirrored = all;
  for (PixelPair& p : mirrored) std::swap(p.xx, p.yy);
  for (const Activation& activation : kPoints) {
    CHECK(lane_values<T>(activation, all) == lane_values<T>(activation, mirrored));
  }
}

// But for one rounding of r − |xy| at c = −1, times the root of what then stands for 1 − |c|, some
// roundings as well: nothing to those who rely on it, whose relus read it as 0.
TEST_CASE_TEMPLATE("what cannot be negative is not, on lanes", T, float, double) {
  const double u = unit_rounding(kTypeOf<T>);
  const std::vector<PixelPair> all = pixels<T>();
  for (const Activation& activation : kPoints) {
    const std::vector<T> values = lane_values<T>(activation, all);
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (all[i].xy < 0 && !is_never_negative(activation)) continue;
      const double scale = ask(activation, [&](const auto& f) { return scale_of(f, all[i]); });
      const double least = 8 * u * std::sqrt(u) * scale;
      REQUIRE(static_cast<double>(values[i]) >= -least);
    }
  }
}

}  // namespace
}  // namespace gramtile::test::lanes_point_test
