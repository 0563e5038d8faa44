// A process in which others use the HDF5 library, too, perhaps the same copy of it (Debian's h5py).
#pragma once

#include <functional>

namespace gramtile::hdf5 {

/// The others' lock; called from any thread, in pairs.
struct ForeignLock {
  std::function<void()> lock = {};
  std::function<void()> unlock = {};
};

/// From now on `foreign` is held while the process is forked to walk a file: the child has no other
/// thread, and a lock inside of the library that one of them held then would never be given back.
/// Before any file is opened.
void lock_while_forking(ForeignLock foreign);

}  // namespace gramtile::hdf5
