// Parts of the kernels that tests run by themselves. Compiled once per instruction set, by the
// sources of this folder that are named after one, as the kernels are
// (engine/simd/kernels-inl.hpp).
#pragma once

// clang-format off
#include "hwy/highway.h"

#include "tests/support/parts/next_rows-inl.hpp"
#include "tests/support/parts/relu_ends-inl.hpp"
// clang-format on

#define GRAMTILE_DEFINE_PARTS_OF(T)                                                           \
  bool sum_next_rows(const test::NextRowsJob& job, const test::NextRowsBuffers<T>& buffers) { \
    return SumNextRows(job, buffers);                                                         \
  }                                                                                           \
  void run_relu_turn(const test::ReluEndsJob<T>& job, const test::ReluEndsResult<T>& to) {    \
    RunReluTurn(job, to);                                                                     \
  }                                                                                           \
  void run_relu_end(const test::ReluEndsJob<T>& job, const test::ReluEndsResult<T>& to) {     \
    RunReluEnd(job, to);                                                                      \
  }

#define GRAMTILE_DEFINE_PARTS()       \
  namespace gramtile::HWY_NAMESPACE { \
  GRAMTILE_DEFINE_PARTS_OF(float)     \
  GRAMTILE_DEFINE_PARTS_OF(double)    \
  }                                   \
  static_assert(true)
