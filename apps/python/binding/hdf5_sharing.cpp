#include "apps/python/binding/hdf5_sharing.hpp"

#include "io/hdf5/sharing.hpp"

namespace gramtile::python {

namespace nb = nanobind;

void share_hdf5(nb::object lock) {
  // Never given back: the library may be used after the interpreter is gone.
  const nb::handle kept = lock.release();
  const auto call = [kept](const char* method) {
    const nb::gil_scoped_acquire acquired;
    kept.attr(method)();
  };
  hdf5::lock_while_forking(
      {.lock = [call] { call("acquire"); }, .unlock = [call] { call("release"); }});
}

}  // namespace gramtile::python
