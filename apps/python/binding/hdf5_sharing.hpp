// h5py and we in one process. Debian's h5py uses the copy of HDF5 that we use, PyPI's brings its
// own.
#pragma once

#include <nanobind/nanobind.h>

namespace gramtile::python {

/// From now on we hold `lock` (h5py's, with acquire() and release()) while the process is forked.
void share_hdf5(nanobind::object lock);

}  // namespace gramtile::python
