// The short form of tests that draw their cases. GRAMTILE_SHORT=1 asks for it: under sanitizers,
// which look for what a path does wrong whenever it is taken, while numbers are compared by the
// release build (docs/development.md).
#pragma once

#include "engine/core/index.hpp"

namespace gramtile::test {

/// Whether the short form is asked for.
bool is_short_form();

/// Every how many file calls a campaign kills a run at: each one. In the short form under the
/// thread sanitizer at every fourth: the call at which a run dies changes nothing in what its
/// threads share.
Index kill_step();

/// How many a test takes of what it draws or goes through: `few` in the short form.
Index many_or_few(Index many, Index few);

}  // namespace gramtile::test
