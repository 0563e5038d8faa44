// Largest errors that see NaN, and golden cases whose absence is seen.
#include "engine/core/worst_of.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <vector>

#include "tests/support/data_files.hpp"
#include "tests/support/eigenvalues.hpp"
#include "tests/support/golden.hpp"

namespace gramtile::worst_of_test {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

TEST_CASE("a NaN among errors is the worst of them, wherever it stands") {
  std::vector<double> errors{1e-9, 3e-7, kInfinity, 0};
  CHECK(worst_of(errors) == kInfinity);
  for (std::size_t at = 0; at <= errors.size(); ++at) {
    CAPTURE(at);
    std::vector<double> with = errors;
    with.insert(with.begin() + static_cast<std::ptrdiff_t>(at), kNan);
    CHECK(std::isnan(worst_of(with)));
  }
  CHECK(worst_of(std::vector<double>{}) == 0);
  CHECK(worst_of(2.0, 1.0) == 2);
  CHECK(worst_of(1.0, 2.0) == 2);
}

TEST_CASE("a matrix with an entry that is not finite has no smallest eigenvalue to pass a check") {
  CHECK(test::smallest_eigenvalue({2, 1, 1, 2}, 2) == doctest::Approx(1));
  for (const double entry : {kNan, kInfinity}) {
    CHECK(std::isnan(test::smallest_eigenvalue({2, entry, entry, 2}, 2)));
    CHECK(std::isnan(test::smallest_eigenvalue({2, 1, 1, entry}, 2)));
  }
}

TEST_CASE("missing golden files are named, and refused where CI is set") {
  const test::DataFolder folder;
  const auto all = test::missing_golden_cases(folder.path());
  CHECK(all.size() == 8);
  folder.write("resnet32.h5", {});
  const auto missing = test::missing_golden_cases(folder.path());
  CHECK(missing.size() == 7);
  CHECK(std::ranges::count(missing, "resnet32") == 0);
  CHECK_NOTHROW(test::require_golden_cases(missing, nullptr));
  CHECK_NOTHROW(test::require_golden_cases(missing, ""));
  CHECK_NOTHROW(test::require_golden_cases({}, "true"));
  CHECK_THROWS_WITH_AS(test::require_golden_cases({"resnet32"}, "true"),
                       doctest::Contains("resnet32"), std::runtime_error);
}

}  // namespace
}  // namespace gramtile::worst_of_test
