// The HDF5 side of a run's file: every dataset, attribute and axis of docs/file_format.md, made in
// memory, and its way to disk in large sequential writes with NaN where numbers will come.
#pragma once

#include <optional>

#include "io/hdf5/file_builder.hpp"
#include "io/run/file.hpp"
#include "io/run/run_file.hpp"
#include "io/run/run_spec.hpp"

namespace gramtile {

/// Equal specs give equal images.
hdf5::FileImage build_image(const RunSpec& spec, std::optional<Shard> shard);

/// Identifies where everything lies and what the metadata is, for this version of the HDF5 library.
std::string digest_of(const hdf5::FileImage& image);

/// Writes the whole image, reserving its space first, so that a full disk shows at once.
void write_image(const hdf5::FileImage& image, File& file);

/// Compares everything but the reserved regions with what is in `file`, and writes what differs.
/// Returns true when nothing did.
bool repair_metadata(const hdf5::FileImage& image, File& file);

}  // namespace gramtile
