// Computes one kernel entry by hand-checkable numbers through the installed package: by the
// reference and through the front door.
#include <cstdio>
#include <vector>

#include "engine/core/version.hpp"
#include "engine/reference/reference.hpp"
#include "engine/xtensor.hpp"
#include "io/network/network_json.hpp"

int main() {
  const auto network = gramtile::read_network(
      R"({"layers": [{"type": "conv2d", "kernel_size": 2, "padding": 0, "var_weight": 4}]})",
      "inline");
  const auto program = gramtile::lower(network, {.channels = 1, .height = 2, .width = 2});
  // var_weight / k² · Σ x·y = 4/4 · (1 + 2 + 3 + 4)
  const std::vector<double> x{1, 2, 3, 4}, y{1, 1, 1, 1};
  const double by_reference = gramtile::reference::kernel(program, x, y);
  const xt::xtensor<double, 4> rows{{{{1, 2}, {3, 4}}}}, columns{{{{1, 1}, {1, 1}}}};
  const double k = gramtile::kernel_matrix<float>(program, rows, columns)(0, 0);
  // By var_weight: K / var_weight.
  const double slope = gramtile::kernel_jacobian<float>(program, rows, columns).jacobian(0, 0, 0);
  std::printf("gramtile %s: K = %g, %g, slope %g\n", gramtile::kVersion.data(), by_reference, k,
              slope);
  return by_reference == 10 && k == 10 && slope == 2.5 ? 0 : 1;
}
