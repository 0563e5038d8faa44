#include "io/run/write/run_writer.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/run/read/run_reader.hpp"
#include "io/run/spec/content_hash.hpp"
#include "io/run/spec/run_image.hpp"
#include "io/run/spec/tile_io.hpp"
#include "io/run/spec/tile_map.hpp"
#include "io/run/write/background_writer.hpp"
#include "io/run/write/output_start.hpp"
#include "io/run/write/run_start.hpp"

namespace gramtile {

struct RunWriter::Impl {
  FileSystem& system;
  const RunPaths paths;
  const std::optional<Shard> shard;
  RunSpec spec;
  StartedRun run;
  TileMap map;
  std::vector<std::optional<std::uint64_t>> hashes;  // by tile of this file; empty: not written yet
  std::vector<std::uint8_t> sets;                    // who made it, by tile, in mixtures that grow
  std::vector<bool> is_written;  // by tile of this file: by write(), or committed before
  bool waits_for_commit = false;
  std::vector<Index> to_do;
  Index num_damaged = 0;
  std::optional<BackgroundWriter> writer;

  Impl(const std::string& out_path, RunSpec given_spec, const RunOptions& options)
      : system(options.file_system ? *options.file_system : posix_file_system()),
        paths(out_path),
        shard(options.shard),
        spec(checked(std::move(given_spec))),
        run(start_run(system, paths, spec, options)),
        map(spec, options.shard, run.places),
        hashes(static_cast<std::size_t>(map.tiles().size())) {
    is_written.resize(hashes.size(), !run.journal);
    if (!run.journal) return;
    if (grows_mixed()) sets.resize(hashes.size());
    check_committed_tiles();
    for (Index t = map.tiles().start; t < map.tiles().stop; ++t) {
      is_written[position(t)] = hash(t).has_value();
      if (!hash(t)) to_do.push_back(t);
    }
    RunOptions guarded = options;
    guarded.before_commit = [this, given = options.before_commit] {
      check_names();
      if (given) given();
    };
    writer.emplace(spec, map, run.partial, *run.journal, guarded,
                   [this](const JournalRecord& record) { take(record); });
  }

  static RunSpec checked(RunSpec spec) {
    if (static_cast<Index>(spec.plan.tiles.size()) > kMaxRunTiles)
      throw Error(ErrorKind::kUsage, std::to_string(spec.plan.tiles.size()) +
                                         " tiles are too many; choose a larger --tile");
    return with_utf8_texts(std::move(spec));
  }

  std::size_t position(Index tile) const {
    return static_cast<std::size_t>(tile - map.tiles().start);
  }

  std::optional<std::uint64_t>& hash(Index tile) { return hashes[position(tile)]; }

  /// Who made which tile is known at the end only; of a merge it is known from the start.
  bool grows_mixed() const { return !spec.mixture.empty() && spec.mixture.by_tile.empty(); }

  void take(const JournalRecord& record) {
    hash(record.tile) = record.hash;
    if (!sets.empty()) sets[position(record.tile)] = record.instruction_set;
  }

  /// Believes the journal only where the data agrees.
  void check_committed_tiles() {
    const Range tiles = map.tiles();
    for (const JournalRecord& record : run.journal->release_records())
      if (record.tile >= tiles.start && record.tile < tiles.stop) take(record);
    for (Index t = tiles.start; t < tiles.stop; ++t) {
      if (!hash(t)) continue;
      const std::vector<std::byte> packed = read_packed(spec, map, t, run.partial);
      if (hash64(packed) == *hash(t) && mirror_matches(spec, map, t, packed, run.partial)) continue;
      hash(t).reset();
      ++num_damaged;
    }
  }

  /// A tile as it is on disk, and the hash that it should have.
  std::pair<std::vector<std::byte>, std::uint64_t> read_stored(Index tile) {
    if (run.journal) return {read_packed(spec, map, tile, run.partial), *hash(tile)};
    const RunReader finished(paths.out);
    return {finished.read_packed(tile), finished.stored_hash(tile)};
  }

  /// Σ of the tiles' vectors in the order of the plan, one addition after another, in float64: the
  /// definition of their sum (`gradient` of `tile_gradient`), bit for bit.
  std::vector<double> sum_vectors() const {
    const auto count = static_cast<std::size_t>(vector_size(spec));
    std::vector<double> sum(count, 0.0), row(count);
    for (Index t = map.tiles().start; t < map.tiles().stop; ++t) {
      run.partial.read_all(map.pieces(t).back().file_offset,
                           std::as_writable_bytes(std::span(row)));
      for (std::size_t p = 0; p < count; ++p) sum[p] += row[p];
    }
    return sum;
  }

  /// The list of who made what is part of the file's frame.
  void write_mixture() {
    for (const std::uint8_t set : sets)
      spec.mixture.by_tile.push_back(static_cast<std::int8_t>(set));
    const hdf5::FileImage image = build_image(spec, shard);
    repair_metadata(image, run.partial);
    run.seal = seal_of(image, spec);
  }

  void write_conclusion() {
    if (grows_mixed()) write_mixture();
    if (const auto offset = map.vector_offset()) {
      const std::vector<double> sum = sum_vectors();
      run.partial.write(*offset, std::as_bytes(std::span(sum)));
    }
    std::vector<std::uint64_t> values;
    for (const auto& value : hashes) values.push_back(*value);
    if (!values.empty())
      run.partial.write(map.hash_offset(map.tiles().start), std::as_bytes(std::span(values)));
    const std::uint64_t complete = 1;
    run.partial.write(map.complete_offset(), std::as_bytes(std::span(&complete, 1)));
    Seal seal = run.seal;
    seal.conclusion = conclusion_of(seal, run.partial);
    write_seal(seal, run.partial);
    run.partial.sync();
  }

  void check_names() const {
    gramtile::check_names(system, paths,
                          {{paths.partial, run.partial}, {paths.journal, run.journal->file()}},
                          run.lock);
  }

  void rename_to_output() {
    check_names();
    try {
      rename_file(system, paths.partial, paths.out, run.replace);
    } catch (const IoError& error) {
      if (error.error_number != EEXIST) throw;
      throw Error(ErrorKind::kCannotCreate,
                  paths.out + ": appeared while this run was on; the finished matrix is in " +
                      paths.partial + ": move one of them away and continue with --resume");
    }
    sync_folder_of(system, paths.out);
    remove_file(system, paths.journal);
    sync_folder_of(system, paths.out);
  }
};

std::string RunWriter::partial_path(const std::string& out_path) { return out_path + ".partial"; }
std::string RunWriter::journal_path(const std::string& out_path) { return out_path + ".journal"; }

RunWriter::RunWriter(const std::string& out_path, RunSpec spec, const RunOptions& options)
    : impl_(std::make_unique<Impl>(out_path, std::move(spec), options)) {}

RunWriter::~RunWriter() = default;

const std::vector<Index>& RunWriter::tiles_to_do() const { return impl_->to_do; }
Index RunWriter::num_tiles() const { return impl_->map.tiles().size(); }
Index RunWriter::num_damaged() const { return impl_->num_damaged; }
bool RunWriter::already_finished() const { return !impl_->run.journal.has_value(); }

const TilePlan& RunWriter::plan() const { return impl_->spec.plan; }
const TileContent& RunWriter::content() const { return impl_->spec.content; }

bool RunWriter::has(Index tile) const {
  const Range own = impl_->map.tiles();
  return tile >= own.start && tile < own.stop && impl_->is_written[impl_->position(tile)];
}

void RunWriter::write(const TileResult& result) {
  impl_->writer->push(result.tile.index, pack(impl_->spec, result));
  impl_->is_written[impl_->position(result.tile.index)] = true;
  impl_->waits_for_commit = true;
}

void RunWriter::read(Index tile, const std::function<void(const TileResult&)>& use) {
  if (impl_->waits_for_commit) commit();
  const auto [packed, expected] = impl_->read_stored(tile);
  if (hash64(packed) != expected)
    throw Error(ErrorKind::kPartMissing, impl_->paths.partial + ": tile " + std::to_string(tile) +
                                             " is not what was written");
  use(UnpackedTile(impl_->spec, plan().tiles[static_cast<std::size_t>(tile)], packed).result());
}

void RunWriter::commit() {
  if (impl_->writer) impl_->writer->commit();
  impl_->waits_for_commit = false;
}

void RunWriter::interrupt() {
  if (impl_->writer) impl_->writer->stop();
  impl_->writer.reset();
}

void RunWriter::finish() {
  if (already_finished()) return;
  impl_->writer->stop();
  impl_->writer.reset();
  for (std::size_t i = 0; i < impl_->hashes.size(); ++i) {
    if (!impl_->hashes[i])
      throw Error(ErrorKind::kOther,
                  "a bug: tile " +
                      std::to_string(impl_->map.tiles().start + static_cast<Index>(i)) +
                      " was never delivered; continue with --resume");
  }
  impl_->write_conclusion();
  impl_->rename_to_output();
}

}  // namespace gramtile
