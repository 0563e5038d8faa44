#include "engine/core/factor_product.hpp"

namespace gramtile {

void multiply_factors(std::span<const double> u, std::span<const double> v, Index num_rows,
                      Index num_columns, std::span<double> values) {
  if (num_rows == 0) return;
  const std::size_t rank = u.size() / as_size(num_rows);
  std::size_t out = 0;
  for (std::size_t i = 0; i < as_size(num_rows); ++i) {
    for (std::size_t j = 0; j < as_size(num_columns); ++j) {
      double sum = 0;
      for (std::size_t r = 0; r < rank; ++r) sum += u[i * rank + r] * v[j * rank + r];
      values[out++] = sum;
    }
  }
}

}  // namespace gramtile
