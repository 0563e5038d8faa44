// Long calls: without the interpreter's lock, and ended by Ctrl-C.
#pragma once

#include <functional>
#include <stop_token>

namespace gramtile::python {

/// Runs `work` without the interpreter's lock, which the caller holds and has again afterwards.
/// From Python's main thread, `work` runs on another one, while this one looks for signals every
/// few hundredths of a second: when a signal handler raises (KeyboardInterrupt), `work` is asked
/// to stop, waited for, and Python's exception thrown in place of what it gives. Throws what `work`
/// throws.
void run_interruptibly(const std::function<void(std::stop_token)>& work);

}  // namespace gramtile::python
