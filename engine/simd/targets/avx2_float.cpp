// AVX2 kernels in float.
#include "engine/simd/targets.hpp"

#if HWY_TARGETS & HWY_AVX2
#undef HWY_TARGET
#define HWY_TARGET HWY_AVX2
#include "engine/simd/kernels-inl.hpp"

GRAMTILE_DEFINE_KERNELS(float);

#endif
