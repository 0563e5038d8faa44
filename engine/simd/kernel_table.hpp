// All kernels of one instruction set.
#pragma once

#include "engine/simd/kernels.hpp"

namespace gramtile::simd {

struct KernelTable {
  Kernels<float> float32;
  Kernels<double> float64;
  VarianceKernels variances;
};

}  // namespace gramtile::simd

/// What the sources of one instruction set, named as its namespace is, define.
#define GRAMTILE_DECLARE_KERNELS(instruction_set) \
  namespace gramtile::instruction_set {           \
  simd::Kernels<float> kernels_of(float);         \
  simd::Kernels<double> kernels_of(double);       \
  simd::VarianceKernels variance_kernels();       \
  }
