// Golden cases: kernels and derivatives that another implementation computed. The small ones stand
// in tests/golden (its README states their origin), the large ones in GRAMTILE_GOLDEN_DIR where
// that exists.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "engine/core/index.hpp"
#include "engine/network/program.hpp"

namespace gramtile::test {

struct GoldenCase {
  std::string name;     ///< file name without extension
  std::string network;  ///< JSON
  ImageShape shape;
  Index num_rows = 0, num_columns = 0;
  std::vector<double> x;  ///< [num_rows, C, H, W]
  std::vector<double> z;  ///< [num_columns, C, H, W]; empty: columns are the rows, K is symmetric
  std::vector<double> k;  ///< [num_rows, num_columns]
  std::vector<std::string> parameters;  ///< [P], in the order of dk and gradient
  std::vector<double> dk;               ///< [P, num_rows, num_columns]
  std::vector<double> upstream;         ///< [num_rows, num_columns]
  std::vector<double> gradient;         ///< [P]

  bool symmetric() const { return z.empty(); }
  std::span<const double> row(Index i) const;
  std::span<const double> column(Index j) const;

  /// Program for `shape`.
  Program program() const;
  /// For each entry of `parameters` its index in program.parameters. Throws when one is missing.
  std::vector<std::size_t> indices_in(const Program& program) const;
};

/// The small cases and the large ones that GRAMTILE_GOLDEN_DIR holds. Says on stdout, once, how
/// many there are of each and which large ones are missing; throws for a missing one where the
/// environment variable CI is set.
std::vector<GoldenCase> golden_cases();

/// Names of the large cases that `folder` does not hold.
std::vector<std::string> missing_golden_cases(const std::string& folder);
/// Throws std::runtime_error when some are `missing` and `ci`, the value of the variable CI (may be
/// null), is not empty.
void require_golden_cases(const std::vector<std::string>& missing, const char* ci);

}  // namespace gramtile::test
