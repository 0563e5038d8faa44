#include "engine/simd/targets.hpp"

#if HWY_TARGETS & HWY_AVX3
#undef HWY_TARGET
#define HWY_TARGET HWY_AVX3
#include "tests/support/parts/parts-inl.hpp"

GRAMTILE_DEFINE_PARTS();

#endif
