#include "engine/simd/targets.hpp"

#if HWY_TARGETS & GRAMTILE_PORTABLE
#undef HWY_TARGET
#define HWY_TARGET (HWY_TARGETS & GRAMTILE_PORTABLE)
#include "tests/support/parts/parts-inl.hpp"

GRAMTILE_DEFINE_PARTS();

#endif
