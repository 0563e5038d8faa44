// The lane engine against golden kernels. Runs once per instruction set (GRAMTILE_TARGET).
//
// Bounds: in float64 the promise of engine/network/promised_accuracy.hpp, in float32 less than half
// of it, and relative to the entry, which is more than is promised.
#include <doctest/doctest.h>

#include <cmath>

#include "engine/core/array_source.hpp"
#include "engine/core/worst_of.hpp"
#include "engine/network/promised_accuracy.hpp"
#include "engine/schedule/compute_arrays.hpp"
#include "engine/simd/instruction_set.hpp"
#include "tests/support/golden.hpp"

namespace gramtile::test::lanes_kernel_test {
namespace {

double largest_relative_error(const GoldenCase& golden, DataType type) {
  ArraySource x(golden.shape, golden.x);
  std::unique_ptr<ArraySource> z;
  if (!golden.symmetric()) z = std::make_unique<ArraySource>(golden.shape, golden.z);
  const ArrayResult result =
      compute_arrays(golden.program(), x, z.get(), {.data_type = type, .num_threads = 2});
  double largest = 0;
  for (std::size_t i = 0; i < golden.k.size(); ++i) {
    largest = worst_of(largest, std::abs(result.kernel[i] - golden.k[i]) / std::abs(golden.k[i]));
  }
  return largest;
}

}  // namespace

TEST_CASE("float64 kernels agree with the golden files as promised") {
  for (const GoldenCase& golden : golden_cases()) {
    const double error = largest_relative_error(golden, DataType::kFloat64);
    MESSAGE(instruction_set() << " float64 " << golden.name << ": " << error);
    CHECK_MESSAGE(error <= kPromisedFloat64.kernel, golden.name);
  }
}

TEST_CASE("float32 kernels agree with the golden files to 2e-6") {
  for (const GoldenCase& golden : golden_cases()) {
    const double error = largest_relative_error(golden, DataType::kFloat32);
    MESSAGE(instruction_set() << " float32 " << golden.name << ": " << error);
    CHECK_MESSAGE(error <= 2e-6, golden.name);
  }
}

}  // namespace gramtile::test::lanes_kernel_test
