// All kernels of one instruction set.
#pragma once

#include "engine/simd/kernels.hpp"

namespace gramtile::simd {

struct KernelTable {
  Kernels<float> float32;
  Kernels<double> float64;
  VarianceKernels variances;
};

/// Of the best instruction set that the processor has and target choice allows.
KernelTable chosen_table();

}  // namespace gramtile::simd
