// Which instruction sets the binary holds. Include before hwy/foreach_target.h.
//
// x86: AVX3 (AVX-512 F/BW/CD/DQ/VL) and AVX2 with FMA; Arm: NEON; everywhere the portable build,
// SCALAR where the compiler cannot build EMU128 (GCC before 12.3). SSE4 machines use the portable
// build; AVX3_DL adds nothing that window sums and relus need.
#pragma once

#define HWY_COMPILE_ALL_ATTAINABLE
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_SSE4 | HWY_AVX3_DL)
