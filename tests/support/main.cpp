// main() of every test executable. GRAMTILE_TARGET forces an instruction set; where the processor
// or the build lacks it the whole executable answers GRAMTILE_SKIP_CODE, which ctest reports as
// skipped.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#ifdef GRAMTILE_HAS_DISPATCH
#include "engine/schedule/compute.hpp"
#include "engine/simd/instruction_set.hpp"
#endif

namespace {

bool can_run([[maybe_unused]] std::string_view target) {
#ifdef GRAMTILE_HAS_DISPATCH
  const auto supported = gramtile::supported_instruction_sets();
  return std::find(supported.begin(), supported.end(), target) != supported.end();
#else
  return true;
#endif
}

}  // namespace

int main(int argc, char** argv) {
  const char* target = std::getenv("GRAMTILE_TARGET");
  if (target != nullptr && !can_run(target)) {
    std::printf("skipped: this processor or build has no %s\n", target);
    return GRAMTILE_SKIP_CODE;
  }
  doctest::Context context(argc, argv);
  return context.run();
}
