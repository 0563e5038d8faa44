// The reference against values made elsewhere. K: entries pass through at most 82 operations with
// sums of at most 784 terms, of positive numbers but for the first layer, each rounded to 1.1e-16;
// pairwise and sequential orders of summation then differ by less than 1e-12 (issue's bound). dK
// sums adjoints of both signs, so its errors are measured against the parameter's largest entry:
// 1e-10.
#include "engine/reference/reference.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/core/worst_of.hpp"
#include "engine/network/promised_accuracy.hpp"
#include "tests/support/golden.hpp"

namespace gramtile::reference_test {
namespace {

using reference::PairGradient;
using test::GoldenCase;

constexpr double kKernelBound = kPromisedFloat64.kernel;
constexpr double kDerivativeBound = kPromisedFloat64.jacobian;

// [rows · columns] entries; of a symmetric case the lower triangle is the mirror image.
std::vector<PairGradient> reference_entries(const GoldenCase& golden, const Program& program) {
  std::vector<PairGradient> entries;
  for (Index i = 0; i < golden.num_rows; ++i) {
    for (Index j = 0; j < golden.num_columns; ++j) {
      if (golden.symmetric() && i == j) {
        entries.push_back(reference::kernel_diagonal_gradient(program, golden.row(i)));
      } else if (golden.symmetric() && i > j) {
        entries.push_back(entries[static_cast<std::size_t>(j * golden.num_columns + i)]);
      } else {
        entries.push_back(reference::kernel_gradient(program, golden.row(i), golden.column(j)));
      }
    }
  }
  return entries;
}

double largest(std::span<const double> values) {
  double result = 0;
  for (const double value : values) {
    result = worst_of(result, std::abs(value));
  }
  return result;
}

void check_case(const GoldenCase& golden) {
  CAPTURE(golden.name);
  const Program program = golden.program();
  const std::vector<PairGradient> entries = reference_entries(golden, program);
  double kernel_error = 0;
  for (std::size_t n = 0; n < entries.size(); ++n) {
    kernel_error = worst_of(kernel_error, std::abs(entries[n].kernel / golden.k[n] - 1));
  }
  CHECK(kernel_error <= kKernelBound);

  REQUIRE(golden.parameters.size() == program.parameters.size());
  const std::vector<std::size_t> indices = golden.indices_in(program);
  double derivative_error = 0, gradient_error = 0;
  for (std::size_t p = 0; p < indices.size(); ++p) {
    const std::span dk = std::span(golden.dk).subspan(p * entries.size(), entries.size());
    const double unit = largest(dk);
    REQUIRE(unit > 0);
    double gradient = 0;
    for (std::size_t n = 0; n < entries.size(); ++n) {
      const double derivative = entries[n].gradient[indices[p]];
      derivative_error = worst_of(derivative_error, std::abs(derivative - dk[n]) / unit);
      gradient += golden.upstream[n] * derivative;
    }
    gradient_error = worst_of(gradient_error, std::abs(gradient - golden.gradient[p]) / unit);
  }
  CHECK(derivative_error <= kDerivativeBound);
  CHECK(gradient_error <= kDerivativeBound);
  MESSAGE(golden.name << ": K " << kernel_error << ", dK " << derivative_error << ", gradient "
                      << gradient_error);
}

}  // namespace

TEST_SUITE("reference") {
  TEST_CASE("the reference agrees with every golden kernel, jacobian and gradient") {
    for (const GoldenCase& golden : test::golden_cases()) {
      check_case(golden);
    }
  }
}

}  // namespace gramtile::reference_test
