// The portable build: kernels in float.
#include "engine/simd/targets.hpp"

#if HWY_TARGETS & GRAMTILE_PORTABLE
#undef HWY_TARGET
#define HWY_TARGET (HWY_TARGETS & GRAMTILE_PORTABLE)
#include "engine/simd/kernels-inl.hpp"

GRAMTILE_DEFINE_KERNELS(float);

#endif
