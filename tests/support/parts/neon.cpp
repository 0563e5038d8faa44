#include "engine/simd/targets.hpp"

#if HWY_TARGETS & HWY_NEON
#undef HWY_TARGET
#define HWY_TARGET HWY_NEON
#include "tests/support/parts/parts-inl.hpp"

GRAMTILE_DEFINE_PARTS();

#endif
