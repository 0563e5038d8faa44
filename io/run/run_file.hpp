// Writes the result of a run to disk so that nothing is lost: the protocol of docs/file_format.md.
//
//   OUT.partial   an HDF5 file, complete in its structure from its first moment, NaN until computed
//   OUT.journal   which tiles are on disk for sure, and their hashes; locked while a run is on
//   OUT           appears by rename when every tile is there
//
// The sink copies a tile and returns; one background thread writes it, and commits every so many
// tiles or seconds (data synced, then the journal, then that synced). Computing never waits for a
// sync until the bounded queue is full. A run that is killed, cut off or out of disk is continued
// with StartMode::kResume and gives the same bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stop_token>
#include <string>
#include <vector>

#include "engine/core/ports.hpp"
#include "io/run/file_system.hpp"
#include "io/run/run_spec.hpp"

namespace gramtile {

enum class StartMode {
  kCreate,     ///< refuse when the output or an unfinished run is there
  kResume,     ///< continue an unfinished run; start one when there is none
  kOverwrite,  ///< drop an unfinished run; an existing output is replaced when this one is finished
};

/// Share `index` of `count` of the tiles, in a file of its own (docs/file_format.md, "Shares").
struct Shard {
  Index index = 0;
  Index count = 1;
};

struct RunOptions {
  StartMode mode = StartMode::kCreate;
  std::optional<Shard> shard;
  std::size_t queue_bytes = std::size_t{64}
                            << 20;  ///< tiles that wait to be written; at least one fits
  Index tiles_per_commit = 64;
  double seconds_per_commit = 2;
  FileSystem* file_system = nullptr;  ///< nullptr: the real one
  /// Neither locks nor makes OUT.lock: the caller knows that nobody else writes this output.
  bool no_lock = false;
  /// kResume: what another instruction set committed is kept, and the file says which made what.
  /// merge_shards: shares of unlike instruction sets are merged, likewise.
  bool mixed_instruction_sets = false;
  /// Told what the user should know of a run that goes on.
  std::function<void(const std::string&)> notice;
  /// Called before tiles are committed, from the background thread. When it throws, they are not,
  /// and the run ends with that error: for inputs that changed under the run.
  std::function<void()> before_commit;
  /// Asks merge_shards to stop; a RunWriter's caller stops by interrupt().
  std::stop_token stop;
};

class RunWriter final : public TileSink {
 public:
  /// Creates or continues the run. Errors: kCannotCreate (output there; folder missing or
  /// read-only), kUnfinishedRun, kLocked, kResumeRefused (what differs, by name), kNoSpace and kIo
  /// (path and bytes needed). Nothing that existed is touched when it throws.
  RunWriter(const std::string& out_path, RunSpec spec, const RunOptions& options = {});
  /// Without finish() or interrupt(): keeps what is committed, no more.
  ~RunWriter() override;

  /// Tiles still to be computed, increasing: ComputeRequest::tiles. Empty when everything is there.
  const std::vector<Index>& tiles_to_do() const;
  /// Tiles of this run (of this share) in all.
  Index num_tiles() const;
  /// Tiles that an earlier start committed but whose data no longer matches its hash; they are in
  /// tiles_to_do() again.
  Index num_damaged() const;
  /// kResume on a run whose output is already there and complete: nothing to do; finish() is a
  /// no-op.
  bool already_finished() const;

  /// TileSink. Refuses a tile with an entry that is not finite: Error(kOther) naming matrix and
  /// entry. Rethrows what the background thread met.
  void write(const TileResult& result) override;

  /// Returns when every tile written so far is committed.
  void commit();
  /// Commits and closes; the run can be resumed. For signals. No call may follow.
  void interrupt();
  /// Every tile must have been written. Sums the vectors, stores the hashes, marks the file
  /// complete, renames it. Refuses when OUT.partial or OUT.journal were removed or replaced
  /// meanwhile: what has their names now is not this run's. No call may follow.
  void finish();

  /// OUT + ".partial", OUT + ".journal": for messages.
  static std::string partial_path(const std::string& out_path);
  static std::string journal_path(const std::string& out_path);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// Size of the output file [bytes], for --dry-run. Writes nothing.
std::uint64_t output_bytes(const RunSpec& spec, std::optional<Shard> shard = {});

/// Merges shares into one file, tile by tile. Errors of RunWriter, kPartMissing naming shares that
/// are missing, double, foreign (what differs), unfinished or damaged, and kInterrupted after
/// `options.stop`: the merge can be resumed.
/// `on_progress(done, total)` [pairs] is called before the first tile and after each one.
void merge_shards(const std::string& out_path, const std::vector<std::string>& shard_paths,
                  const RunOptions& options = {},
                  const std::function<void(Index, Index)>& on_progress = {});

}  // namespace gramtile
