#include "tests/support/rounding_bound.hpp"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "engine/schedule/compute.hpp"
#include "engine/simd/instruction_set.hpp"
#include "tests/support/operation_table.hpp"

namespace gramtile::test {
namespace {

double additions(const Arithmetic& arithmetic, const WindowGeometry& g) {
  return static_cast<double>(arithmetic.separable ? g.y.kernel_size + g.x.kernel_size
                                                  : g.num_taps());
}

// Relative to s = √(xx·yy), errors never grow by themselves (u: unit rounding):
//
//  window sum  |Σ δ| ≤ ε Σ √(xx·yy) ≤ ε √(Σxx·Σyy) by Cauchy and Schwarz; a bias on both sides only
//              enlarges s. Every addition, and the products and conversions of weight, bias and
//              addend (at most 4), round a partial sum of at most s.
//  sum         the same with non-negative weights.
//  activation  operation_table.hpp
class Propagation {
 public:
  /// `tape` is asked only behind activations that are not homogeneous.
  Propagation(const Program& program, const Arithmetic& arithmetic, const reference::Tape* tape)
      : u_(arithmetic.covariance_rounding),
        v_(arithmetic.variance_rounding),
        arithmetic_(arithmetic),
        tape_(tape),
        values_(program.values.size()) {
    // Pixels rounded to the type (2), a product and a sum per channel, the mean's factor (2).
    const auto roundings = static_cast<double>(program.input.channels + 4);
    values_[0] = {roundings * u_, roundings * v_};
    for (const Op& op : program.ops) std::visit(*this, op);
  }

  void operator()(const Conv2dOp& op) {
    const double roundings = additions(arithmetic_, op.geometry) + 4;
    const Errors in = at(op.input);
    at(op.output) = {in.covariance + roundings * u_, in.variance + roundings * v_};
  }
  void operator()(const ActivationOp& op) {
    at(op.output) = ask(op.activation, [&](const auto& function) {
      return errors_behind(function, at(op.input), arithmetic_, maps_of(op.input));
    });
  }
  void operator()(const SumOp& sum) {
    Errors largest;
    for (const ValueId input : sum.inputs) {
      largest.covariance = std::max(largest.covariance, at(input).covariance);
      largest.variance = std::max(largest.variance, at(input).variance);
    }
    const auto roundings = static_cast<double>(sum.inputs.size() + 2);
    at(sum.output) = {largest.covariance + roundings * u_, largest.variance + roundings * v_};
  }

  /// The diagonal is a variance, rounded once to the type.
  double of(ValueId value) const {
    const Errors result = values_[static_cast<std::size_t>(value)];
    return std::max(result.covariance, result.variance + u_);
  }
  double largest() const {
    double result = 0;
    for (std::size_t v = 0; v < values_.size(); ++v) {
      result = std::max(result, of(static_cast<ValueId>(v)));
    }
    return result;
  }

 private:
  const reference::PairMaps* maps_of(ValueId id) const {
    return tape_ == nullptr ? nullptr : &(*tape_)[static_cast<std::size_t>(id)];
  }
  Errors& at(ValueId id) { return values_[static_cast<std::size_t>(id)]; }
  const Errors& at(ValueId id) const { return values_[static_cast<std::size_t>(id)]; }

  double u_, v_;
  Arithmetic arithmetic_;
  const reference::Tape* tape_;
  std::vector<Errors> values_;
};

/// Of the lanes, and of the reference.
std::pair<Propagation, Propagation> both(const Program& program, DataType type,
                                         const reference::Tape* tape) {
  const double rounding = unit_rounding(DataType::kFloat64);
  return {Propagation(program,
                      {.covariance_rounding = unit_rounding(type),
                       .variance_rounding = rounding,
                       .separable = true,
                       .relu_fit = relu_fit_error(type, true)},
                      tape),
          Propagation(program,
                      {.covariance_rounding = rounding,
                       .variance_rounding = rounding,
                       .separable = false,
                       .relu_fit = 0},
                      tape)};
}

double kernel_bound(const Program& program, DataType type, const reference::Tape* tape) {
  const auto [lanes, slow] = both(program, type, tape);
  return lanes.of(program.output) + slow.of(program.output);
}

}  // namespace

double unit_rounding(DataType type) { return type == DataType::kFloat32 ? 0x1p-24 : 0x1p-53; }

double smallest_normal(DataType type) { return type == DataType::kFloat32 ? 0x1p-126 : 0x1p-1022; }

double relu_fit_error(DataType type, bool nonnegative) {
  const bool is_float = type == DataType::kFloat32;
  double error =
      nonnegative ? (is_float ? 1.3e-7 : 7.1e-14 + 1.8e-13) : (is_float ? 1.5e-8 : 1.2e-14);
  if (instruction_set() != "AVX3") return error;
  if (is_float && nonnegative) {
    error = 1.2e-7;  // of the table (relu_table.hpp); it takes no root
  } else {
    // Approximate root: 3/8 e² or 5/16 e³ / 4 with |e| ≤ 2⁻¹³, and a thousandth for later terms.
    error += 1.001 * (is_float ? 3.0 / 8 * 0x1p-26 : 5.0 / 64 * 0x1p-39);
  }
  return error;
}

double kernel_bound(const Program& program, DataType type) {
  return kernel_bound(program, type, nullptr);
}

double kernel_bound(const Program& program, DataType type, std::span<const double> x,
                    std::span<const double> y) {
  struct Homogeneous {
    bool operator()(const Conv2dOp&) const { return true; }
    bool operator()(const ActivationOp& op) const { return is_homogeneous(op.activation); }
    bool operator()(const SumOp&) const { return true; }
  };
  const bool homogeneous =
      std::ranges::all_of(program.ops, [](const Op& op) { return std::visit(Homogeneous(), op); });
  if (homogeneous) return kernel_bound(program, type);
  const reference::Tape tape = reference::run_forward(program, x, y);
  return kernel_bound(program, type, &tape);
}

double largest_covariance_error(const Program& program, DataType type,
                                const reference::Tape& tape) {
  const auto [lanes, slow] = both(program, type, &tape);
  return lanes.largest() + slow.largest();
}

}  // namespace gramtile::test
