#include "io/run/read/run_reader.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>
#include <set>

#include "engine/core/errors.hpp"
#include "io/hdf5/hdf5.hpp"
#include "io/run/spec/content_hash.hpp"
#include "io/run/spec/run_image.hpp"
#include "io/run/spec/seal.hpp"
#include "io/run/spec/tile_io.hpp"

namespace gramtile {
namespace {

Index whole_number(const std::vector<double>& values, std::size_t i) {
  return static_cast<Index>(values.at(i));
}

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

/// The seal of a file that is as it was sealed; empty for a file without one.
std::optional<Seal> checked_seal(const File& file) {
  std::optional<Seal> seal = find_seal(file);
  if (!seal) return seal;
  const std::string problem = seal_problem(*seal, file);
  if (!problem.empty())
    throw Error(ErrorKind::kPartMissing, file.path() + ": is damaged: " + problem);
  return seal;
}

std::string text_of(std::uint64_t library_version) {
  return std::to_string(library_version >> 32) + "." +
         std::to_string((library_version >> 16) & 0xffff) + "." +
         std::to_string(library_version & 0xffff);
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

/// Where this file keeps its datasets: sizes follow from the spec, offsets are the file's own, so
/// that files of another version of the library are read as well.
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

bool read_complete(const hdf5::File& file) {
  const hdf5::Dataset dataset = file.dataset(kCompleteName);
  if (!dataset.shape().empty()) throw DataError(file.path(), "`complete` is no scalar");
  std::uint64_t mark = 0;
  dataset.read({}, std::span(&mark, 1));
  return mark == 1;
}

void to_doubles(DataType type, std::span<const std::byte> bytes, std::span<double> values) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    if (type == DataType::kFloat32) {
      float value;
      std::memcpy(&value, &bytes[i * sizeof value], sizeof value);
      values[i] = value;
    } else {
      std::memcpy(&values[i], &bytes[i * sizeof(double)], sizeof(double));
    }
  }
}

}  // namespace

struct RunReader::Impl {
  File file;
  std::optional<Seal> seal;  // before the library sees the file
  hdf5::File hdf5;
  RunSpec spec;
  std::optional<Shard> shard;
  TileMap map;
  std::vector<Index> tiles;
  std::vector<std::uint64_t> hashes;
  bool complete = false;

  explicit Impl(const std::string& path)
      : file(posix_file_system(), path, OpenMode::kRead),
        seal(checked_seal(file)),
        hdf5(path),
        spec(read_spec(hdf5, seal.has_value())),
        shard(read_shard(hdf5)),
        map(spec, shard,
            read_places(hdf5, spec, shard, static_cast<std::uint64_t>(file.status().size_bytes))),
        tiles(static_cast<std::size_t>(map.tiles().size())) {
    std::iota(tiles.begin(), tiles.end(), map.tiles().start);
    complete = read_complete(hdf5);
    if (tiles.empty()) return;
    hashes = read_list<std::uint64_t>(kTileHashName);
    if (!spec.mixture.empty()) spec.mixture.by_tile = read_makers();
  }

  /// A dataset of one number per tile.
  template <typename T>
  std::vector<T> read_list(const std::string& name) const {
    const hdf5::Dataset dataset = hdf5.dataset(name);
    if (dataset.shape() != std::vector<Index>{static_cast<Index>(tiles.size())})
      throw DataError(hdf5.path(), "`" + name + "` does not have one entry per tile");
    std::vector<T> values(tiles.size());
    const Range all{0, static_cast<Index>(tiles.size())};
    dataset.read(std::span(&all, 1), std::span(values));
    return values;
  }

  std::vector<std::int8_t> read_makers() const {
    std::vector<std::int8_t> makers;
    const auto num_names = static_cast<std::int64_t>(spec.mixture.names.size());
    for (const std::int64_t index : read_list<std::int64_t>(kTileInstructionSetName)) {
      if (index >= num_names || index < (complete ? 0 : MixedSets::kUnknown))
        throw DataError(hdf5.path(), "`tile_instruction_set` names no instruction set");
      makers.push_back(static_cast<std::int8_t>(index));
    }
    return makers;
  }

  std::size_t position(Index tile) const {
    return static_cast<std::size_t>(tile - map.tiles().start);
  }

  /// Entries of one chunk, to rows of `values` that are `stride` apart: in one piece from the first
  /// to the last, or, where most of that is not wanted, row by row.
  void read_part(const PlaneGroup& group, Index matrix, ChunkShape chunk, Range rows, Range columns,
                 Index stride, std::span<double> values) const {
    const bool by_row = 2 * columns.size() < chunk.columns;
    for (Index row = rows.start; row < rows.stop;) {
      const Range piece{row, by_row ? row + 1 : rows.stop};
      read_piece(group, matrix, chunk, piece, columns, stride,
                 values.subspan(static_cast<std::size_t>((row - rows.start) * stride)));
      row = piece.stop;
    }
  }

  void read_piece(const PlaneGroup& group, Index matrix, ChunkShape chunk, Range rows,
                  Range columns, Index stride, std::span<double> values) const {
    const std::size_t element = size_in_bytes(spec.data_type);
    const Index first = rows.start % chunk.rows * chunk.columns + columns.start % chunk.columns;
    const Index count = (rows.size() - 1) * chunk.columns + columns.size();
    const std::uint64_t offset = map.plane_chunk_offset(group, matrix, rows.start / chunk.rows,
                                                        columns.start / chunk.columns);
    std::vector<std::byte> bytes(static_cast<std::size_t>(count) * element);
    file.read_all(offset + static_cast<std::uint64_t>(first) * element, bytes);
    for (Index r = 0; r < rows.size(); ++r) {
      const auto row = static_cast<std::size_t>(r * chunk.columns) * element;
      const auto width = static_cast<std::size_t>(columns.size());
      to_doubles(spec.data_type, std::span(bytes).subspan(row, width * element),
                 values.subspan(static_cast<std::size_t>(r * stride), width));
    }
  }

  /// Whole rows of a chunk at a time, one at least, of 4 MiB as a rule.
  void scan_piece(Index tile, const Piece& piece, Hasher64& hasher,
                  const KernelRows& on_kernel) const {
    constexpr std::size_t kPieceBytes = std::size_t{4} << 20;
    const Tile t = map.tile(tile);
    const std::size_t element = size_in_bytes(spec.data_type);
    const auto width = static_cast<std::size_t>(t.columns.size());
    const std::size_t row_bytes =
        static_cast<std::size_t>(chunk_shape(spec.plan, t.matrix).columns) * element;
    const std::size_t step = std::max<std::size_t>(kPieceBytes / row_bytes, 1) * row_bytes;
    std::vector<std::byte> bytes;
    std::vector<double> values;
    for (std::size_t at = 0; at < piece.num_bytes; at += step) {
      bytes.resize(std::min(step, piece.num_bytes - at));
      file.read_all(piece.file_offset + at, bytes);
      hasher.add(bytes);
      const Index first = t.rows.start + static_cast<Index>(at / row_bytes);
      const Index stop =
          std::min(t.rows.stop, first + static_cast<Index>(bytes.size() / row_bytes));
      if (!on_kernel || first >= stop) continue;  // rows of padding
      values.resize(static_cast<std::size_t>(stop - first) * width);
      for (std::size_t r = 0; r < values.size() / width; ++r)
        to_doubles(spec.data_type, std::span(bytes).subspan(r * row_bytes, width * element),
                   std::span(values).subspan(r * width, width));
      on_kernel({first, stop}, values);
    }
  }

  /// Entries of chunk number `plane` of a packed tile, as double.
  void read_plane(Index tile, std::size_t plane, std::span<const std::byte> packed,
                  std::span<double> values) const {
    const Tile t = map.tile(tile);
    const ChunkShape chunk = chunk_shape(spec.plan, t.matrix);
    const std::size_t element = size_in_bytes(spec.data_type);
    const std::size_t chunk_bytes = chunk.num_entries() * element;
    std::vector<std::byte> entries(values.size() * element);
    unpad(t, chunk, element, packed.subspan(plane * chunk_bytes, chunk_bytes), entries);
    to_doubles(spec.data_type, entries, values);
  }
};

RunReader::RunReader(const std::string& path) : impl_(std::make_unique<Impl>(path)) {}
RunReader::~RunReader() = default;
RunReader::RunReader(RunReader&&) noexcept = default;
RunReader& RunReader::operator=(RunReader&&) noexcept = default;

const std::string& RunReader::path() const { return impl_->hdf5.path(); }
const RunSpec& RunReader::spec() const { return impl_->spec; }
std::optional<Shard> RunReader::shard() const { return impl_->shard; }
bool RunReader::complete() const { return impl_->complete; }
const std::vector<Index>& RunReader::tiles() const { return impl_->tiles; }

std::string RunReader::instruction_set(Index tile) const {
  const MixedSets& mixture = spec().mixture;
  if (mixture.empty()) return spec().instruction_set;
  const std::int8_t index = mixture.at(static_cast<Index>(impl_->position(tile)));
  return index == MixedSets::kUnknown ? "" : mixture.names[static_cast<std::size_t>(index)];
}

std::uint64_t RunReader::stored_hash(Index tile) const {
  return impl_->hashes[impl_->position(tile)];
}

std::vector<std::byte> RunReader::read_packed(Index tile) const {
  return gramtile::read_packed(impl_->spec, impl_->map, tile, impl_->file);
}

std::uint64_t RunReader::actual_hash(Index tile) const { return scan(tile); }

std::uint64_t RunReader::scan(Index tile, const KernelRows& on_kernel) const {
  Hasher64 hasher;
  const Index kernel = first_plane(spec(), kKernelPlane);
  Index plane = 0;
  for (const Piece& piece : impl_->map.pieces(tile)) {
    impl_->scan_piece(tile, piece, hasher, plane == kernel ? on_kernel : KernelRows());
    ++plane;
  }
  return hasher.value();
}

bool RunReader::mirror_matches(Index tile) const {
  return gramtile::mirror_matches(impl_->spec, impl_->map, tile, read_packed(tile), impl_->file);
}

MetadataCheck RunReader::check_metadata() const {
  const Impl& d = *impl_;
  if (!d.seal) return {.note = "format version 1 has no seal: names, lists and texts unchecked"};
  const auto version = d.hdf5.string_attribute("program_version").value_or("");
  if (version != kVersion || d.seal->library_version != hdf5::library_version())
    return {.note = "as sealed; not made anew: written by version " + version + " with HDF5 " +
                    text_of(d.seal->library_version)};
  const hdf5::FileImage image = build_image(d.spec, d.shard);
  Seal created = seal_of(image, d.spec);
  created.conclusion = d.seal->conclusion;
  const bool same = created.frame == d.seal->frame && created.regions == d.seal->regions &&
                    created.file_bytes == d.seal->file_bytes;
  if (!same) return {.passed = false, .note = "is not what its description gives"};
  return {.note = "as sealed, and as its description gives"};
}

void RunReader::read_planes(std::string_view name, Index tile, std::span<double> values) const {
  const PlaneGroup* group = spec().content.find(name);
  if (group == nullptr) throw DataError(path(), "holds no planes " + std::string(name));
  const std::vector<std::byte> packed = read_packed(tile);
  const auto first = static_cast<std::size_t>(first_plane(spec(), name));
  const auto planes = static_cast<std::size_t>(num_planes(spec(), *group));
  const std::size_t size = values.size() / std::max<std::size_t>(planes, 1);
  for (std::size_t p = 0; p < planes; ++p)
    impl_->read_plane(tile, first + p, packed, values.subspan(p * size, size));
}

namespace {

/// The part of `range` that lies in the block of `extent` rows (or columns) around its first one.
Range first_part(Range range, Index extent) {
  return {range.start, std::min(range.stop, (range.start / extent + 1) * extent)};
}

}  // namespace

void RunReader::read_entries(Index matrix, Range rows, Range columns,
                             std::span<double> values) const {
  const PlaneGroup* kernel = spec().content.find(kKernelPlane);
  if (kernel == nullptr) throw DataError(path(), "does not hold the matrices themselves");
  const ChunkShape chunk = chunk_shape(impl_->spec.plan, matrix);
  for (Range part = first_part(rows, chunk.rows); part.size() > 0;
       part = first_part({part.stop, rows.stop}, chunk.rows)) {
    for (Range across = first_part(columns, chunk.columns); across.size() > 0;
         across = first_part({across.stop, columns.stop}, chunk.columns)) {
      const auto first = (part.start - rows.start) * columns.size() + across.start - columns.start;
      impl_->read_part(*kernel, matrix, chunk, part, across, columns.size(),
                       values.subspan(static_cast<std::size_t>(first)));
    }
  }
}

void RunReader::read_tile_vector(Index tile, std::span<double> values) const {
  impl_->file.read_all(impl_->map.pieces(tile).back().file_offset, std::as_writable_bytes(values));
}

std::vector<double> RunReader::vector() const {
  std::vector<double> values(static_cast<std::size_t>(vector_size(impl_->spec)));
  if (const auto offset = impl_->map.vector_offset())
    impl_->file.read_all(*offset, std::as_writable_bytes(std::span(values)));
  return values;
}

}  // namespace gramtile
