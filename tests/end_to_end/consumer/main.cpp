// Computes one kernel entry by hand-checkable numbers through the installed package.
#include <cstdio>
#include <vector>

#include "engine/core/version.hpp"
#include "engine/network/program.hpp"
#include "engine/reference/reference.hpp"
#include "io/network/network_json.hpp"

int main() {
  const auto network = gramtile::read_network(
      R"({"layers": [{"type": "conv2d", "kernel_size": 2, "padding": 0, "var_weight": 4}]})",
      "inline");
  const auto program = gramtile::lower(network, {.channels = 1, .height = 2, .width = 2});
  const std::vector<double> x{1, 2, 3, 4}, y{1, 1, 1, 1};
  // var_weight / k² · Σ x·y = 4/4 · (1 + 2 + 3 + 4)
  const double k = gramtile::reference::kernel(program, x, y);
  std::printf("gramtile %s: K = %g\n", gramtile::kVersion.data(), k);
  return k == 10 ? 0 : 1;
}
