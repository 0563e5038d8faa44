#include "engine/solve/norm_estimate.hpp"

#include <algorithm>
#include <cmath>

namespace gramtile {
namespace {

using Vector = std::vector<double>;

double norm_of(const Vector& x) {
  double sum = 0;
  for (const double value : x) sum += std::abs(value);
  return sum;
}

Vector signs_of(const Vector& x) {
  Vector signs(x.size());
  std::ranges::transform(x, signs.begin(), [](double value) { return value < 0 ? -1.0 : 1.0; });
  return signs;
}

std::size_t largest_of(const Vector& x) {
  const auto by_size = [](double a, double b) { return std::abs(a) < std::abs(b); };
  return static_cast<std::size_t>(std::ranges::max_element(x, by_size) - x.begin());
}

/// 1, −(1 + 1/(n − 1)), 1 + 2/(n − 1), …: finds what cancels in the others.
Vector alternating(std::size_t n) {
  Vector x(n);
  for (std::size_t i = 0; i < n; ++i) {
    const double value = 1 + static_cast<double>(i) / static_cast<double>(n - 1);
    x[i] = i % 2 == 0 ? value : -value;
  }
  return x;
}

}  // namespace

double estimate_norm(Index size, const std::function<void(std::vector<double>&)>& apply) {
  constexpr int kMostSteps = 5;
  const auto n = static_cast<std::size_t>(size);
  Vector x(n, 1 / static_cast<double>(n));
  apply(x);
  double estimate = norm_of(x);
  if (n == 1) return estimate;
  Vector signs = signs_of(x);
  for (int step = 0; step < kMostSteps; ++step) {
    Vector z = signs;  // the gradient of ‖A·x‖₁
    apply(z);
    const std::size_t steepest = largest_of(z);
    x.assign(n, 0);
    x[steepest] = 1;
    apply(x);
    const double norm = norm_of(x);
    Vector next = signs_of(x);
    const bool is_done = norm <= estimate || next == signs;
    estimate = std::max(estimate, norm);
    if (is_done) break;
    signs = std::move(next);
  }
  x = alternating(n);
  apply(x);
  return std::max(estimate, 2 * norm_of(x) / (3 * static_cast<double>(n)));
}

}  // namespace gramtile
