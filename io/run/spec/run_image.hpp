// The HDF5 side of a run's file: every dataset, attribute and axis of docs/file_format.md, made in
// memory, and its way to disk in large sequential writes with NaN where numbers will come.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "io/files/file.hpp"
#include "io/hdf5/file_builder.hpp"
#include "io/run/spec/run_spec.hpp"
#include "io/run/spec/shard.hpp"

namespace gramtile {

/// Attribute `format_version` of what is written here; docs/file_format.md has the history.
inline constexpr std::int64_t kFormatVersion = 2;
/// Of files with a mixture of instruction sets, which programs of version 2 do not know.
inline constexpr std::int64_t kMixedFormatVersion = 3;

/// Equal specs give equal images. A mixture adds to what the image of the same spec without it has:
/// reserved regions lie where they lie there, so that a run can become mixed in the middle.
hdf5::FileImage build_image(const RunSpec& spec, std::optional<Shard> shard);

/// Size of the output file [bytes], for --dry-run. Writes nothing.
std::uint64_t output_bytes(const RunSpec& spec, std::optional<Shard> shard = {});

/// Bytes [offset, offset + bytes.size()) of the file as it is created: NaN, or zeros, in the
/// reserved regions.
void read_created(const hdf5::FileImage& image, std::uint64_t offset, std::span<std::byte> bytes);

/// Identifies where everything lies and what the metadata is, for this version of the HDF5 library.
std::string digest_of(const hdf5::FileImage& image);

/// Writes the whole image, reserving its space first, so that a full disk shows at once.
void write_image(const hdf5::FileImage& image, File& file);

/// Compares everything but the reserved regions with what is in `file`, and writes what differs.
/// From the end on, so that nothing leads to what is not there yet. Returns true when nothing did.
bool repair_metadata(const hdf5::FileImage& image, File& file);

}  // namespace gramtile
