// Inside of the HDF5 seam: what the child of probe() does with a file.
#pragma once

namespace gramtile::hdf5 {

/// kRefused: the library does not open it. kHungry: it wants more memory than the process may have.
enum class Verdict : char { kFine = 'f', kRefused = 'r', kHungry = 'h' };

/// Opens the file at `path` and touches what reading it could touch: every object, attribute and
/// chunk index, and the values at both ends of every dataset. May crash, hang, or take any amount
/// of memory: for a process that can be spared. Silences the library's errors for good.
Verdict walk(const char* path);

}  // namespace gramtile::hdf5
