// Which instruction sets the binary holds. Include before anything of Highway.
//
// x86: AVX3 (AVX-512 F/BW/CD/DQ/VL) and AVX2 with FMA; Arm: NEON; everywhere the portable build,
// SCALAR where the compiler cannot build EMU128 (GCC before 12.3). SSE4 machines use the portable
// build; AVX3_DL adds nothing that window sums and relus need. Each has its sources in
// engine/simd/targets/. The CMake variable GRAMTILE_INSTRUCTION_SETS can leave some of them out.
#pragma once

#ifndef GRAMTILE_LEFT_OUT
#define GRAMTILE_LEFT_OUT 0
#endif

#define GRAMTILE_PORTABLE (HWY_EMU128 | HWY_SCALAR)
#define GRAMTILE_TARGETS \
  ((HWY_AVX3 | HWY_AVX2 | HWY_NEON | GRAMTILE_PORTABLE) & ~(GRAMTILE_LEFT_OUT))

#define HWY_COMPILE_ALL_ATTAINABLE
#define HWY_DISABLED_TARGETS (~GRAMTILE_TARGETS)
#include "hwy/detect_targets.h"
