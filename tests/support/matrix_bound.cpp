#include "tests/support/matrix_bound.hpp"

#include <algorithm>
#include <cmath>

#include "tests/support/rounding_bound.hpp"

namespace gramtile::test {

double kernel_bound(const Program& program, DataType type, const Images& rows,
                    const Images& columns) {
  double largest = 0;
  for (Index i = 0; i < rows.size(); ++i) {
    for (Index j = 0; j < columns.size(); ++j) {
      largest = std::max(largest, kernel_bound(program, type, rows[i], columns[j]));
    }
  }
  return largest;
}

DerivativeBound matrix_bound(const Program& program, const MatrixImages& images, DataType type) {
  const std::size_t num_entries = images.num_entries();
  const std::size_t size = program.parameters.size() * num_entries;
  DerivativeBound result{std::vector<double>(size), std::vector<double>(size)};
  std::size_t entry = 0;
  for (Index i = 0; i < images.num_rows(); ++i) {
    for (Index j = 0; j < images.num_columns(); ++j, ++entry) {
      const auto of_pair = derivative_bound(program, images.rows[i], images.column(j), type,
                                            images.symmetric && i == j);
      for (std::size_t p = 0; p < of_pair.error.size(); ++p) {
        result.error[p * num_entries + entry] = of_pair.error[p];
        result.magnitude[p * num_entries + entry] = of_pair.magnitude[p];
      }
    }
  }
  return result;
}

std::vector<double> gradient_bounds(const std::vector<double>& upstream,
                                    const DerivativeBound& bound, DataType type) {
  const double roundings = kGradientRoundings * unit_rounding(type);
  std::vector<double> sums(bound.error.size() / upstream.size(), 0.0);
  for (std::size_t i = 0; i < bound.error.size(); ++i) {
    sums[i / upstream.size()] +=
        std::abs(upstream[i % upstream.size()]) * (bound.error[i] + roundings * bound.magnitude[i]);
  }
  return sums;
}

}  // namespace gramtile::test
