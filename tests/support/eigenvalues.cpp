#include "tests/support/eigenvalues.hpp"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>

#include "engine/core/worst_of.hpp"

namespace gramtile::test {
namespace {

struct Matrix {
  std::span<double> values;
  Index n;
  double& operator()(Index i, Index j) const { return values[static_cast<std::size_t>(i * n + j)]; }
};

// Turns rows and columns p and q so that a(p, q) vanishes.
void rotate(const Matrix& a, Index p, Index q) {
  const double theta = (a(q, q) - a(p, p)) / (2 * a(p, q));
  const double t = std::copysign(1 / (std::abs(theta) + std::hypot(theta, 1)), theta);
  const double cosine = 1 / std::hypot(t, 1), sine = t * cosine;
  for (Index i = 0; i < a.n; ++i) {
    const double x = a(i, p), y = a(i, q);
    a(i, p) = cosine * x - sine * y;
    a(i, q) = sine * x + cosine * y;
  }
  for (Index i = 0; i < a.n; ++i) {
    const double x = a(p, i), y = a(q, i);
    a(p, i) = cosine * x - sine * y;
    a(q, i) = sine * x + cosine * y;
  }
  // What is left of it is rounding of the diagonal, which can be above the threshold at every turn.
  a(p, q) = a(q, p) = 0;
}

}  // namespace

double smallest_eigenvalue(std::vector<double> matrix, Index n) {
  const Matrix a{matrix, n};
  double norm = 0;
  for (const double value : matrix) norm = worst_of(norm, std::abs(value));
  if (!std::isfinite(norm)) return std::numeric_limits<double>::quiet_NaN();
  for (bool turned = true; turned;) {
    turned = false;
    for (Index p = 0; p < n; ++p) {
      for (Index q = p + 1; q < n; ++q) {
        if (std::abs(a(p, q)) <= 0x1p-54 * norm) continue;
        rotate(a, p, q);
        turned = true;
      }
    }
  }
  double smallest = a(0, 0);
  for (Index i = 1; i < n; ++i) smallest = std::min(smallest, a(i, i));
  return smallest;
}

}  // namespace gramtile::test
