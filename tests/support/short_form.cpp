#include "tests/support/short_form.hpp"

#include <cstdlib>
#include <string_view>

namespace gramtile::test {

bool is_short_form() {
  const char* const asked = std::getenv("GRAMTILE_SHORT");
  return asked != nullptr && std::string_view(asked) == "1";
}

Index many_or_few(Index many, Index few) { return is_short_form() ? few : many; }

Index kill_step() {
#ifdef __SANITIZE_THREAD__
  return many_or_few(1, 4);
#else
  return 1;
#endif
}

}  // namespace gramtile::test
