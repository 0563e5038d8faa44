// Gradients and jacobians of the lane engine against the golden files. Runs once per instruction
// set.
//
// Bounds: the promises of engine/network/promised_accuracy.hpp, relative to the largest entry of
// that parameter's dK, for the gradient too.
#include <doctest/doctest.h>

#include <cmath>
#include <memory>

#include "engine/core/array_source.hpp"
#include "engine/core/array_upstream.hpp"
#include "engine/core/worst_of.hpp"
#include "engine/network/promised_accuracy.hpp"
#include "engine/schedule/compute_arrays.hpp"
#include "engine/simd/instruction_set.hpp"
#include "tests/support/golden.hpp"

namespace gramtile::test::lanes_gradient_test {
namespace {

struct Errors {
  double jacobian = 0, gradient = 0;
};

/// Largest errors, relative to the largest entry of the parameter's dK.
Errors largest_errors(const GoldenCase& golden, DataType type) {
  ArraySource x(golden.shape, golden.x);
  std::unique_ptr<ArraySource> z;
  if (!golden.symmetric()) z = std::make_unique<ArraySource>(golden.shape, golden.z);
  const Program program = golden.program();
  const ComputeOptions options{.data_type = type, .num_threads = 2};
  ArrayUpstream upstream(golden.upstream, golden.num_rows, golden.num_columns);
  const ArrayResult jacobian = compute_arrays(program, x, z.get(), options, Derivative::kJacobian);
  const ArrayResult gradient =
      compute_arrays(program, x, z.get(), options, Derivative::kGradient, &upstream);
  const std::size_t size = golden.k.size();
  const std::vector<std::size_t> indices = golden.indices_in(program);
  Errors errors;
  for (std::size_t p = 0; p < golden.parameters.size(); ++p) {
    double largest = 0, worst = 0;
    for (std::size_t i = 0; i < size; ++i) {
      largest = worst_of(largest, std::abs(golden.dk[p * size + i]));
      worst = worst_of(
          worst, std::abs(golden.dk[p * size + i] - jacobian.jacobian[indices[p] * size + i]));
    }
    errors.jacobian = worst_of(errors.jacobian, worst / largest);
    errors.gradient = worst_of(
        errors.gradient, std::abs(golden.gradient[p] - gradient.gradient[indices[p]]) / largest);
  }
  return errors;
}

void check(DataType type) {
  const PromisedAccuracy& promise = promised_accuracy(type);
  for (const GoldenCase& golden : golden_cases()) {
    const Errors errors = largest_errors(golden, type);
    MESSAGE(instruction_set() << " " << name_of(type) << " " << golden.name << ": jacobian "
                              << errors.jacobian << ", gradient " << errors.gradient);
    CHECK_MESSAGE(errors.jacobian <= promise.jacobian, golden.name);
    CHECK_MESSAGE(errors.gradient <= promise.gradient, golden.name);
  }
}

}  // namespace

TEST_CASE("float64 gradients and jacobians agree with the golden files as promised") {
  check(DataType::kFloat64);
}

TEST_CASE("float32 gradients and jacobians agree with the golden files as promised") {
  check(DataType::kFloat32);
}

}  // namespace gramtile::test::lanes_gradient_test
