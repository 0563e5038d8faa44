// Property and golden tests are registered for a fixed list of instruction sets; none may be
// missing.
#include <doctest/doctest.h>

#include <string>

#ifdef GRAMTILE_HAS_DISPATCH
#include "engine/schedule/compute.hpp"
#include "engine/simd/instruction_set.hpp"

namespace gramtile::instruction_sets_test {

TEST_CASE("tests are registered for every instruction set that this machine can run") {
  const std::string registered = std::string(" ") + GRAMTILE_TEST_TARGETS + " ";
  for (const std::string_view name : supported_instruction_sets()) {
    CAPTURE(std::string(name));
    CHECK(registered.find(" " + std::string(name) + " ") != std::string::npos);
  }
}

}  // namespace gramtile::instruction_sets_test
#endif
