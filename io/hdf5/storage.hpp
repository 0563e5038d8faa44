// Inside of the HDF5 seam: which ways of storing a dataset are refused.
#pragma once

#include <hdf5.h>

#include <cstddef>
#include <string>

namespace gramtile::hdf5 {

/// Why a dataset with these creation properties does not lie in its own file, "" when it does.
/// Virtual datasets have to be found before anything asks for their extents: for those the library
/// opens the files that they name, and waits for ever on a pipe.
std::string stored_here_problem(hid_t creation);

/// Why the dataset's storage is refused, "" when it is fine. Rank ≥ 1 for chunked storage.
std::string storage_problem(hid_t creation, std::size_t element_bytes, std::size_t rank);

}  // namespace gramtile::hdf5
