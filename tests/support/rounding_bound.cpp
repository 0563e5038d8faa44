#include "tests/support/rounding_bound.hpp"

#include <algorithm>
#include <vector>

#include "engine/schedule/compute.hpp"

namespace gramtile::test {
namespace {

// Errors of one value: of xy relative to √(xx·yy), and of xx (and yy) relative to itself.
struct Errors {
  double covariance = 0;
  double variance = 0;
};

// How one engine computes.
struct Arithmetic {
  double covariance_rounding;
  double variance_rounding;
  bool separable;  // window sums along x, then along y
  double relu_fit;
};

double additions(const Arithmetic& arithmetic, Index kernel_size) {
  const Index terms = arithmetic.separable ? 2 * kernel_size : kernel_size * kernel_size;
  return static_cast<double>(terms);
}

// Relative to s = √(xx·yy), errors never grow by themselves (u: unit rounding):
//
//  window sum  |Σ δ| ≤ ε Σ √(xx·yy) ≤ ε √(Σxx·Σyy) by Cauchy and Schwarz; a bias on both sides only
//              enlarges s. Every addition, and the products and conversions of weight, bias and
//              addend (at most 4), round a partial sum of at most s.
//  sum         the same with non-negative weights.
//  relu        ∂f/∂xy ≤ ½ while s is halved, so ε passes unchanged. Of f's own computation,
//              relative to r: √xx and √yy are off by 1 u each and half the variance's error, their
//              inverses by 2 u each; hence r by 2 u + v, t = 1 − |c| by 6 u + v. With √t·g(t) ≤
//              0.32 and t·|Δ(√t·g)| ≤ 0.32·Δt, and 6 roundings in polynomial, root and products, f
//              is off by 0.32·(3 u + v) + 0.32·(6 u + v) + 0.32·6 u + u < 6 u + v, and by the fit.
//              (The reference's angle, sine and products take no more than 8 u + v.)
Errors after(const Op& op, const std::vector<Errors>& values, const Arithmetic& arithmetic) {
  const double u = arithmetic.covariance_rounding, v = arithmetic.variance_rounding;
  const auto at = [&](ValueId id) { return values[static_cast<std::size_t>(id)]; };
  if (const auto* conv = std::get_if<Conv2dOp>(&op)) {
    const double roundings = additions(arithmetic, conv->geometry.kernel_size) + 4;
    const Errors in = at(conv->input);
    return {in.covariance + roundings * u, in.variance + roundings * v};
  }
  if (const auto* relu = std::get_if<ReluOp>(&op)) {
    const Errors in = at(relu->input);
    return {in.covariance + in.variance + 8 * u + arithmetic.relu_fit, in.variance};
  }
  const auto& sum = std::get<SumOp>(op);
  Errors largest;
  for (const ValueId input : sum.inputs) {
    largest.covariance = std::max(largest.covariance, at(input).covariance);
    largest.variance = std::max(largest.variance, at(input).variance);
  }
  const auto roundings = static_cast<double>(sum.inputs.size() + 2);
  return {largest.covariance + roundings * u, largest.variance + roundings * v};
}

double covariance_error(const Program& program, const Arithmetic& arithmetic) {
  // Pixels rounded to the type (2), a product and a sum per channel, the mean's factor (2).
  const auto roundings = static_cast<double>(program.input.channels + 4);
  std::vector<Errors> values(program.values.size());
  values[0] = {roundings * arithmetic.covariance_rounding,
               roundings * arithmetic.variance_rounding};
  for (const Op& op : program.ops) {
    const ValueId output = std::visit([](const auto& any) { return any.output; }, op);
    values[static_cast<std::size_t>(output)] = after(op, values, arithmetic);
  }
  const Errors result = values[static_cast<std::size_t>(program.output)];
  // The diagonal is a variance, rounded once to the type.
  return std::max(result.covariance, result.variance + arithmetic.covariance_rounding);
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
  const double rounding = unit_rounding(DataType::kFloat64);
  return covariance_error(program, {.covariance_rounding = unit_rounding(type),
                                    .variance_rounding = rounding,
                                    .separable = true,
                                    .relu_fit = relu_fit_error(type, true)}) +
         covariance_error(program, {.covariance_rounding = rounding,
                                    .variance_rounding = rounding,
                                    .separable = false,
                                    .relu_fit = 0});
}

}  // namespace gramtile::test
