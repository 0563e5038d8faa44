// Inside of the HDF5 seam: datatypes of numbers. The library believes what a file says of the bits
// of a number, and writes past its buffers for numbers that have more of them than bytes.
#pragma once

#include <hdf5.h>

namespace gramtile::hdf5 {

/// An integer of 1, 2, 4 or 8 bytes whose bits lie inside them, or an IEEE float of 2, 4 or 8.
bool is_plain_number(hid_t type);

}  // namespace gramtile::hdf5
