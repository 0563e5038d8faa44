#include <string_view>

#include "engine/simd/instruction_set.hpp"
#include "engine/simd/targets.hpp"
#include "tests/support/parts/next_rows.hpp"
#include "tests/support/parts/relu_ends.hpp"

#define GRAMTILE_DECLARE_PARTS_OF(T)                                               \
  bool sum_next_rows(const test::NextRowsJob&, const test::NextRowsBuffers<T>&);   \
  void run_relu_turn(const test::ReluEndsJob<T>&, const test::ReluEndsResult<T>&); \
  void run_relu_end(const test::ReluEndsJob<T>&, const test::ReluEndsResult<T>&);
#define GRAMTILE_DECLARE_PARTS(instruction_set) \
  namespace gramtile::instruction_set {         \
  GRAMTILE_DECLARE_PARTS_OF(float)              \
  GRAMTILE_DECLARE_PARTS_OF(double)             \
  }
#if HWY_TARGETS & HWY_AVX3
GRAMTILE_DECLARE_PARTS(N_AVX3)
#endif
#if HWY_TARGETS & HWY_AVX2
GRAMTILE_DECLARE_PARTS(N_AVX2)
#endif
#if HWY_TARGETS & HWY_NEON
GRAMTILE_DECLARE_PARTS(N_NEON)
#endif
#if HWY_TARGETS & HWY_EMU128
GRAMTILE_DECLARE_PARTS(N_EMU128)
#endif
#if HWY_TARGETS & HWY_SCALAR
GRAMTILE_DECLARE_PARTS(N_SCALAR)
#endif

// The part called `function` of the instruction set in use.
#if HWY_TARGETS & HWY_AVX3
#define GRAMTILE_IF_AVX3(function) \
  if (instruction_set() == "AVX3") return N_AVX3::function;
#else
#define GRAMTILE_IF_AVX3(function)
#endif
#if HWY_TARGETS & HWY_AVX2
#define GRAMTILE_IF_AVX2(function) \
  if (instruction_set() == "AVX2") return N_AVX2::function;
#else
#define GRAMTILE_IF_AVX2(function)
#endif
#if HWY_TARGETS & HWY_NEON
#define GRAMTILE_IF_NEON(function) \
  if (instruction_set() == "NEON") return N_NEON::function;
#else
#define GRAMTILE_IF_NEON(function)
#endif
#if HWY_TARGETS & HWY_EMU128
#define GRAMTILE_ELSE(function) return N_EMU128::function
#else
#define GRAMTILE_ELSE(function) return N_SCALAR::function
#endif
#define GRAMTILE_CALL_PART(call) \
  GRAMTILE_IF_AVX3(call)         \
  GRAMTILE_IF_AVX2(call)         \
  GRAMTILE_IF_NEON(call)         \
  GRAMTILE_ELSE(call)

namespace gramtile::test {

template <class T>
bool sum_next_rows(const NextRowsJob& job, const NextRowsBuffers<T>& buffers) {
  GRAMTILE_CALL_PART(sum_next_rows(job, buffers));
}

template <class T>
void run_relu_turn(const ReluEndsJob<T>& job, const ReluEndsResult<T>& to) {
  GRAMTILE_CALL_PART(run_relu_turn(job, to));
}

template <class T>
void run_relu_end(const ReluEndsJob<T>& job, const ReluEndsResult<T>& to) {
  GRAMTILE_CALL_PART(run_relu_end(job, to));
}

template bool sum_next_rows(const NextRowsJob&, const NextRowsBuffers<float>&);
template bool sum_next_rows(const NextRowsJob&, const NextRowsBuffers<double>&);
template void run_relu_turn(const ReluEndsJob<float>&, const ReluEndsResult<float>&);
template void run_relu_turn(const ReluEndsJob<double>&, const ReluEndsResult<double>&);
template void run_relu_end(const ReluEndsJob<float>&, const ReluEndsResult<float>&);
template void run_relu_end(const ReluEndsJob<double>&, const ReluEndsResult<double>&);

}  // namespace gramtile::test
