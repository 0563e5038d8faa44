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

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/core/tile_store.hpp"
#include "io/run/spec/run_spec.hpp"
#include "io/run/write/run_options.hpp"

namespace gramtile {

class RunWriter final : public TileStore {
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

  const TilePlan& plan() const override;
  const TileContent& content() const override;
  bool has(Index tile) const override;
  /// From the disk, after a commit() of what waits. Throws Error(kPartMissing) when what is there
  /// is not what was written.
  void read(Index tile, const std::function<void(const TileResult&)>& use) override;

  /// A tile that is written again is in danger until that is committed: a run that is killed
  /// between finds it damaged, and has to compute it anew. Refuses a tile with an entry that is not
  /// finite: Error(kOther) naming matrix and entry. Rethrows what the background thread met.
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

}  // namespace gramtile
