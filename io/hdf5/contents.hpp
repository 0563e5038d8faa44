// Inside of the HDF5 seam: what lies in a file that others wrote, and whether it was all written.
#pragma once

#include <hdf5.h>

#include <optional>
#include <string>
#include <vector>

#include "engine/core/index.hpp"

namespace gramtile::hdf5 {

/// Paths ("train/data") of the datasets below the root group, by name, the group's own before those
/// of its groups. Follows hard links only, each group once, and stops at `max_count` and at eight
/// groups within one another. A link that cannot be opened as anything counts as a dataset: opening
/// it says why.
std::vector<std::string> dataset_paths(hid_t file, std::size_t max_count);

/// What to tell a user whose file the library calls too new (`cause` is its own message); "" when
/// that is not what it says.
std::string version_advice(const std::string& cause);

/// Chunks that `dataset` would have and those that are in the file; nothing when it has no chunks.
struct ChunkCount {
  hsize_t declared = 0, written = 0;
};
std::optional<ChunkCount> count_chunks(hid_t dataset);

/// The first chunk that was never written, of those that hold a part of `rows` of the first axis:
/// the rows it would hold. Takes a time that grows with the square of the number of chunks.
std::optional<Range> first_unwritten(hid_t dataset, Range rows);

}  // namespace gramtile::hdf5
