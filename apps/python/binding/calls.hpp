// What Python's networks can be asked for, over arrays of the caller: the front door of the engine
// (engine/gramtile.hpp) without the interpreter's lock.
#pragma once

#include <nanobind/nanobind.h>

namespace gramtile::python {

/// Adds the class Network to the module.
void bind_network(nanobind::module_& module);

}  // namespace gramtile::python
