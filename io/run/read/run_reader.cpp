#include "io/run/read/run_reader.hpp"

#include <algorithm>
#include <cstring>
#include <numeric>

#include "engine/core/errors.hpp"
#include "io/hdf5/hdf5.hpp"
#include "io/run/read/run_description.hpp"
#include "io/run/spec/content_hash.hpp"
#include "io/run/spec/run_image.hpp"
#include "io/run/spec/seal.hpp"
#include "io/run/spec/tile_io.hpp"

namespace gramtile {
namespace {

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
