// gramtile._engine: the compiled part of the Python package. Its surface is plain and private;
// gramtile/*.py, in front of it, check arguments, make arrays and are documented.
#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/vector.h>

#include "apps/common/machine.hpp"
#include "apps/common/units.hpp"
#include "apps/python/binding/calls.hpp"
#include "apps/python/binding/errors.hpp"
#include "apps/python/binding/hdf5_sharing.hpp"
#include "apps/python/binding/jobs.hpp"
#include "engine/backend/backend.hpp"
#include "engine/core/kept_buffers.hpp"
#include "engine/core/version.hpp"
#include "engine/network/presets.hpp"

NB_MODULE(_engine, module) {
  namespace nb = nanobind;
  // An autograd graph that is alive when the interpreter ends holds networks: no leak of ours, and
  // no news for users.
  nb::set_leak_warnings(false);
  gramtile::python::translate_errors();
  gramtile::python::bind_network(module);
  gramtile::python::bind_jobs(module);
  module.def("keep_freed_buffers", &gramtile::keep_freed_buffers);
  module.def("share_hdf5", &gramtile::python::share_hdf5);
  module.def("preset_names", &gramtile::preset_names);
  module.def("parse_bytes",
             [](const std::string& text) { return gramtile::apps::parse_bytes(text); });
  module.def("usable_threads", &gramtile::apps::usable_threads);
  module.def("default_memory_bytes", &gramtile::apps::default_memory_bytes);
  module.def("instruction_set", [] { return gramtile::default_backend().name(); });
}
