// A network of two convolutions with a shared weight, and the shape of its images: what tests of
// the library's own calls share.
#pragma once

#include "engine/network/program.hpp"
#include "tests/support/gradient_runs.hpp"

namespace gramtile::test {

inline constexpr ImageShape kSmallShape{.channels = 2, .height = 4, .width = 5};

inline Program small_program() {
  return program_of(R"({"parameters": {"w": 1.5}, "layers": [
    {"type": "conv2d", "kernel_size": 3, "var_weight": "w", "var_bias": 0.3}, {"type": "relu"},
    {"type": "conv2d", "kernel_size": 4, "stride": 2, "padding": 0, "var_weight": "w"}]})",
                    kSmallShape);
}

}  // namespace gramtile::test
