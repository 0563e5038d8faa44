#include "tests/support/textbook_solver.hpp"

#include <cmath>
#include <random>

namespace gramtile::test {
namespace {

Square cholesky(const Square& k) {
  Square l(k.size);
  for (Index j = 0; j < k.size; ++j) {
    for (Index i = j; i < k.size; ++i) {
      long double sum = k(i, j);
      for (Index m = 0; m < j; ++m) sum -= l(i, m) * l(j, m);
      l(i, j) = i == j ? std::sqrt(sum) : sum / l(j, j);
    }
  }
  return l;
}

Square lower_inverse(const Square& l) {
  Square inverse(l.size);
  for (Index j = 0; j < l.size; ++j) {
    for (Index i = j; i < l.size; ++i) {
      long double sum = i == j ? 1 : 0;
      for (Index m = j; m < i; ++m) sum -= l(i, m) * inverse(m, j);
      inverse(i, j) = sum / l(i, i);
    }
  }
  return inverse;
}

Square transposed(const Square& a) {
  Square t(a.size);
  for (Index i = 0; i < a.size; ++i) {
    for (Index j = 0; j < a.size; ++j) t(i, j) = a(j, i);
  }
  return t;
}

Square absolute(Square a) {
  for (long double& value : a.entries) value = std::abs(value);
  return a;
}

Square product(const Square& a, const Square& b) {
  Square c(a.size);
  for (Index i = 0; i < a.size; ++i) {
    for (Index m = 0; m < a.size; ++m) {
      for (Index j = 0; j < a.size; ++j) c(i, j) += a(i, m) * b(m, j);
    }
  }
  return c;
}

}  // namespace

TextbookSolver::TextbookSolver(const std::vector<double>& kernel, Index size, double jitter)
    : factor(size), inverse(size), inverse_bound(size) {
  constexpr double kUnit = 0x1p-53;
  Square k(size);
  for (Index i = 0; i < size; ++i) {
    for (Index j = 0; j < size; ++j) k(i, j) = kernel[static_cast<std::size_t>(i * size + j)];
    k(i, i) += jitter;
  }
  factor = cholesky(k);
  const Square l_inverse = lower_inverse(factor);
  inverse = product(transposed(l_inverse), l_inverse);
  const double gamma = 4 * static_cast<double>(size) * kUnit;
  const Square g = product(absolute(transposed(l_inverse)), absolute(l_inverse));
  const Square m = product(absolute(factor), absolute(transposed(factor)));
  inverse_bound = product(product(g, m), g);
  for (long double& value : inverse_bound.entries) value *= gamma;
  for (Index i = 0; i < size; ++i) {
    const long double logarithm = std::log(factor(i, i));
    log_determinant += 2 * logarithm;
    log_determinant_bound +=
        4 * static_cast<double>(size) * kUnit * static_cast<double>(1 + std::abs(logarithm));
    for (Index j = 0; j < size; ++j)
      log_determinant_bound += gamma * static_cast<double>(std::abs(inverse(i, j)) * m(j, i));
  }
}

std::vector<double> random_kernel(std::uint64_t seed, Index size, double diagonal, double span) {
  std::mt19937_64 random(seed);
  std::normal_distribution<double> normal;
  const Index features = size / 2 + 1;
  std::vector<double> x(static_cast<std::size_t>(size * features));
  for (double& value : x) value = normal(random);
  std::vector<double> kernel(static_cast<std::size_t>(size * size));
  const auto scale = [&](Index i) {
    return std::pow(10, span * static_cast<double>(i) / static_cast<double>(size));
  };
  for (Index i = 0; i < size; ++i) {
    for (Index j = 0; j <= i; ++j) {
      double sum = i == j ? diagonal : 0;
      for (Index f = 0; f < features; ++f)
        sum += x[static_cast<std::size_t>(i * features + f)] *
               x[static_cast<std::size_t>(j * features + f)] / static_cast<double>(features);
      const double entry = sum * scale(i) * scale(j);
      kernel[static_cast<std::size_t>(i * size + j)] = entry;
      kernel[static_cast<std::size_t>(j * size + i)] = entry;
    }
  }
  return kernel;
}

}  // namespace gramtile::test
