#include "tests/support/parts/next_sums.hpp"

#include <string_view>

#include "engine/schedule/compute.hpp"
#include "engine/simd/instruction_set.hpp"
#include "engine/simd/targets.hpp"

#define GRAMTILE_DECLARE_PARTS(instruction_set)                                           \
  namespace gramtile::instruction_set {                                                   \
  bool sum_next_rows(const test::NextSumsJob& job, const test::NextSumsBuffers<float>&);  \
  bool sum_next_rows(const test::NextSumsJob& job, const test::NextSumsBuffers<double>&); \
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

namespace gramtile::test {

template <class T>
bool sum_next_rows(const NextSumsJob& job, const NextSumsBuffers<T>& buffers) {
  const std::string_view set = instruction_set();
#if HWY_TARGETS & HWY_AVX3
  if (set == "AVX3") return N_AVX3::sum_next_rows(job, buffers);
#endif
#if HWY_TARGETS & HWY_AVX2
  if (set == "AVX2") return N_AVX2::sum_next_rows(job, buffers);
#endif
#if HWY_TARGETS & HWY_NEON
  if (set == "NEON") return N_NEON::sum_next_rows(job, buffers);
#endif
#if HWY_TARGETS & HWY_EMU128
  return N_EMU128::sum_next_rows(job, buffers);
#else
  return N_SCALAR::sum_next_rows(job, buffers);
#endif
}

template bool sum_next_rows(const NextSumsJob&, const NextSumsBuffers<float>&);
template bool sum_next_rows(const NextSumsJob&, const NextSumsBuffers<double>&);

}  // namespace gramtile::test
