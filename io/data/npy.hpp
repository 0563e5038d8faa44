// .npy, NumPy's array file: magic, version, header length, a Python dict literal
// {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4)}, then the elements.
// Layout: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html
#pragma once

#include "io/data/byte_source.hpp"
#include "io/data/raw_array.hpp"

namespace gramtile {

/// Versions 1 to 3; little-endian numbers in C order of rank 0 to 8. The file has to end with the
/// last element. Throws DataError, naming what it found: big-endian, Fortran order, objects …
RawArray parse_npy(SharedBytes bytes);

}  // namespace gramtile
