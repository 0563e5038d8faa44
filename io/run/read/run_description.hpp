// Inside of RunReader: what a file says of itself, checked before anything is sized by it. Throws
// DataError where it is damaged or forged.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "io/hdf5/file_builder.hpp"
#include "io/hdf5/hdf5.hpp"
#include "io/run/spec/run_spec.hpp"
#include "io/run/spec/shard.hpp"

namespace gramtile {

/// Which share of its run the file holds; nullopt: all of it.
std::optional<Shard> read_shard(const hdf5::File& file);

/// The run that the file is of, with labels, positions and fingerprint. `sealed`: whether it bears
/// a seal, as every one but those of the first format version does.
RunSpec read_spec(const hdf5::File& file, bool sealed);

/// Where this file keeps its datasets: sizes follow from the spec, offsets are the file's own, so
/// that files of another version of the library are read as well.
std::vector<hdf5::RawData> read_places(const hdf5::File& file, const RunSpec& spec,
                                       std::optional<Shard> shard, std::uint64_t file_bytes);

}  // namespace gramtile
