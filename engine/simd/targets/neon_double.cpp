// NEON kernels in double.
#include "engine/simd/targets.hpp"

#if HWY_TARGETS & HWY_NEON
#undef HWY_TARGET
#define HWY_TARGET HWY_NEON
#include "engine/simd/kernels-inl.hpp"

GRAMTILE_DEFINE_KERNELS(double);
GRAMTILE_DEFINE_VARIANCE_KERNELS();
#endif
