#include "io/run/read/run_description.hpp"

#include <algorithm>
#include <set>
#include <span>
#include <string>

#include "engine/core/errors.hpp"
#include "io/run/spec/run_image.hpp"
#include "io/run/spec/seal.hpp"
#include "io/run/spec/tile_map.hpp"

namespace gramtile {
namespace {

Index whole_number(const std::vector<double>& values, std::size_t i) {
  return static_cast<Index>(values.at(i));
}

/// Positions of examples that are not consecutive: those of the axis, or of their own in a share.
void read_positions(const hdf5::File& file, ExampleSet& set) {
  const std::string own = set.name + "_positions";
  const hdf5::Dataset dataset = file.dataset(file.has_dataset(own) ? own : set.name);
  if (dataset.shape() != std::vector<Index>{set.num_examples})
    throw DataError(file.path(), "the positions of " + set.name + " are damaged");
  const Range all{0, set.num_examples};
  set.positions.resize(static_cast<std::size_t>(set.num_examples));
  dataset.read(std::span(&all, 1), set.positions);
}

std::vector<std::string> read_instruction_sets(const hdf5::File& file, const RunSpec& spec) {
  const auto names = file.strings_attribute(kInstructionSetsName);
  if (!names || names->empty() || names->size() > MixedSets::kMaxNames ||
      names->front() != spec.instruction_set)
    throw DataError(file.path(), "attribute `instruction_sets` is damaged");
  return *names;
}

/// Refuses counts that this file is too small for, before they size anything: a whole file holds 8
/// bytes for each example and all its chunks, any file 56 bytes for each of its tiles.
void check_counts(const hdf5::File& file, const RunSpec& spec, std::optional<Shard> shard,
                  std::uint64_t file_bytes) {
  const auto refuse = [&](Index count, const std::string& what) {
    throw DataError(file.path(), "is too small for its " + std::to_string(count) + " " + what);
  };
  constexpr std::uint64_t kBytesPerTile = 56;  // tile, tiles, tile_matrix, tile_hash
  const Range tiles = tiles_of(spec.plan, shard);
  if (static_cast<std::uint64_t>(tiles.size()) > file_bytes / kBytesPerTile)
    refuse(tiles.size(), "tiles");
  for (const ExampleSet& set : spec.sets) {
    if (!shard && static_cast<std::uint64_t>(set.num_examples) > file_bytes / 8)
      refuse(set.num_examples, "examples of " + set.name);
  }
  const auto planes = static_cast<double>(num_planes(spec));
  for (std::size_t m = 0; m < spec.plan.matrices.size(); ++m) {
    const Range all = spec.plan.tiles.of_matrix(static_cast<Index>(m));
    if (std::max(all.start, tiles.start) >= std::min(all.stop, tiles.stop)) continue;
    const ChunkShape chunk = chunk_shape(spec.plan, static_cast<Index>(m));
    const double bytes = static_cast<double>(chunk.rows) * static_cast<double>(chunk.columns) *
                         planes * static_cast<double>(size_in_bytes(spec.data_type));
    if (bytes > static_cast<double>(file_bytes))
      refuse(spec.plan.tile_size, "examples in a tile of " + spec.plan.matrices[m].name);
  }
}

/// A share holds nothing but its tiles: a whole file that calls itself an empty share would pass
/// with nothing checked.
void check_datasets(const hdf5::File& file, const RunSpec& spec, Shard shard,
                    const std::vector<hdf5::RawData>& places) {
  std::set<std::string> known;
  for (const hdf5::RawData& place : places) known.insert(place.dataset);
  if (tiles_of(spec.plan, shard).size() > 0) {
    known.insert({"tile", "tiles", "tile_matrix", "tile_bound"});
    if (!spec.mixture.empty()) known.insert(kTileInstructionSetName);
  }
  for (const ExampleSet& set : spec.sets) {
    if (!set.labels.empty()) known.insert(set.name + "_labels");
    if (set.scattered) known.insert(set.name + "_positions");
  }
  for (const std::string& name : file.dataset_names()) {
    if (known.contains(name)) continue;
    throw DataError(file.path(), "holds `" + name + "`, which share " +
                                     std::to_string(shard.index) + "/" +
                                     std::to_string(shard.count) + " of its run does not have");
  }
}

/// An image like that of this file. A description that no file can have is the file's fault.
hdf5::FileImage image_like(const hdf5::File& file, const RunSpec& spec, std::optional<Shard> shard,
                           std::uint64_t file_bytes) {
  check_counts(file, spec, shard, file_bytes);
  try {
    return build_image(spec, shard);
  } catch (const Error& error) {
    throw DataError(file.path(),
                    std::string("the description of the run is impossible: ") + error.what());
  }
}

}  // namespace

std::optional<Shard> read_shard(const hdf5::File& file) {
  const auto values = file.number_attribute("shard");
  if (file.string_attribute("format") != (values ? "gramtile share" : "gramtile run"))
    throw DataError(file.path(), "attributes `format` and `shard` disagree");
  if (!values) return std::nullopt;
  const bool valid = values->size() == 2 && (*values)[0] >= 0 && (*values)[0] < (*values)[1] &&
                     (*values)[1] <= 1e9;
  if (!valid) throw DataError(file.path(), "attribute `shard` is damaged");
  return Shard{whole_number(*values, 0), whole_number(*values, 1)};
}

RunSpec read_spec(const hdf5::File& file, bool sealed) {
  const auto format = file.string_attribute("format");
  if (!format || !format->starts_with("gramtile "))
    throw DataError(file.path(), "was not written by this program (no attribute `format`)");
  const auto version = file.number_attribute("format_version");
  if (!version || version->size() != 1 || (*version)[0] < 1 || (*version)[0] > kMixedFormatVersion)
    throw DataError(file.path(), "is of another format version; expected 1 to " +
                                     std::to_string(kMixedFormatVersion));
  const bool mixed = (*version)[0] == kMixedFormatVersion;
  if (sealed != ((*version)[0] >= kFormatVersion))
    throw Error(ErrorKind::kPartMissing, file.path() + ": is damaged: its seal is not whole");
  const auto text = file.string_attribute("run");
  if (!text) throw DataError(file.path(), "attribute `run` is missing");
  RunSpec spec = spec_from_json(*text, file.path());
  if (mixed) spec.mixture.names = read_instruction_sets(file, spec);
  for (ExampleSet& set : spec.sets) {
    if (set.scattered) read_positions(file, set);
    const std::string name = set.name + "_labels";
    if (!file.has_dataset(name)) continue;
    const hdf5::Dataset labels = file.dataset(name);
    if (labels.shape() != std::vector<Index>{set.num_examples})
      throw DataError(file.path(), "`" + name + "` does not have one entry per example");
    const Range all{0, set.num_examples};
    set.labels.resize(static_cast<std::size_t>(set.num_examples));
    labels.read(std::span(&all, 1), set.labels);
  }
  if (file.string_attribute("fingerprint") != fingerprint_of(spec))
    throw DataError(file.path(), "the description of the run or its labels are damaged");
  return spec;
}

std::vector<hdf5::RawData> read_places(const hdf5::File& file, const RunSpec& spec,
                                       std::optional<Shard> shard, std::uint64_t file_bytes) {
  std::vector<hdf5::RawData> places = image_like(file, spec, shard, file_bytes).reserved();
  if (shard) check_datasets(file, spec, *shard, places);
  for (hdf5::RawData& place : places) {
    if (place.dataset == kSealName) continue;  // files of version 1 have none
    const hdf5::Dataset dataset = file.dataset(place.dataset);
    if (!place.nan_type) continue;  // hashes and the mark are read through the library
    const auto offset = dataset.number_attribute("offset");
    const bool valid =
        offset && offset->size() == 1 && (*offset)[0] >= 0 &&
        (*offset)[0] + static_cast<double>(place.num_bytes) <= static_cast<double>(file_bytes) &&
        dataset.type().name() == name_of(*place.nan_type);
    if (!valid)
      throw DataError(file.path() + ":/" + place.dataset,
                      "does not lie where its attribute `offset` says; the file is damaged or cut");
    place.offset = static_cast<std::uint64_t>((*offset)[0]);
  }
  return places;
}

}  // namespace gramtile
