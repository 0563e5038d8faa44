// Inside of the HDF5 seam: decompression bombs. The library's deflate filter lets its output grow
// as long as data comes, whatever the size of a chunk; a file of megabytes could take gigabytes.
#pragma once

#include <hdf5.h>

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "engine/core/index.hpp"

namespace gramtile::hdf5 {

/// Which filters a dataset may have: deflate (once), shuffle and Fletcher's checksum. The others
/// allocate what their own headers in the file demand. Returns the problem, "" when there is none.
std::string filter_problem(hid_t creation_properties);

/// Looks at the compressed chunks that `ranges` touch, before the library does. Chunks that could
/// unpack to more than 264 MiB are unpacked once without being kept; one that gives more than its
/// declared size is a problem. Returns it, "" when there is none. Other layouts have none.
std::string chunk_problem(hid_t dataset, std::size_t element_bytes, std::span<const Range> ranges);

}  // namespace gramtile::hdf5
