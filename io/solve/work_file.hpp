// The factor's block columns on disk: OUT.work, without a header, tiles in the order of
// engine/solve/factor_store.hpp; what is in it for sure says the journal (docs/file_format.md §9
// has the bytes of both).
//
//   keep(panel):  pwrite its block columns → sync data → a journal record for each → sync
//
// A search for a jitter factors again and again: each attempt overwrites the one before, and the
// journal tells which attempt a record is of, and how those before ended.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "engine/solve/factor_store.hpp"
#include "engine/solve/factorise.hpp"
#include "io/files/file.hpp"
#include "io/run/write/journal.hpp"

namespace gramtile {

class WorkFile final : public FactorStore {
 public:
  /// `file` is new, or what an earlier start left: then columns that no longer match their hash
  /// count as not kept. Panels are as wide as `panel_bytes` hold, one block column at least.
  /// `before_keep` may throw, and then nothing is kept.
  WorkFile(File& file, Journal& journal, FactorGrid grid, std::size_t panel_bytes,
           std::function<void()> before_keep);

  /// Bytes of the whole file.
  static std::uint64_t num_bytes(const FactorGrid& grid) {
    return static_cast<std::uint64_t>(grid.num_entries()) * 8;
  }

  /// Block columns from `first` on that fit `bytes` of memory together with the tiles of a kept
  /// column that they meet; at least one.
  static Range panel_from(const FactorGrid& grid, Index first, std::size_t bytes);
  /// Memory that panel takes.
  static std::size_t panel_bytes(const FactorGrid& grid, Range panel);

  /// Attempts are numbered by the caller, 0, 1, …, the same ones in every start. How one ended that
  /// was recorded:
  std::optional<PivotFailure> failure_of(Index attempt) const;
  /// Makes `attempt` the one whose columns are kept; what was kept of another goes.
  void begin(Index attempt);
  /// Records that the present attempt ended.
  void record(const PivotFailure& failure);

  /// The journal says something of this file.
  bool has_records() const { return num_kept() > 0 || !failures_.empty(); }

  const FactorGrid& grid() const override { return grid_; }
  bool is_resident() const override { return false; }
  Index num_kept() const override { return static_cast<Index>(hashes_.size()); }
  Range next_panel() const override { return panel_from(grid_, num_kept(), panel_bytes_); }
  std::vector<std::span<double>> make(Range panel) override;
  void keep(Range panel) override;
  void restart() override { begin(attempt_ + 1); }
  const double* tile(Index row, Index column, std::span<double> buffer) const override;

 private:
  std::uint64_t offset_of(Index column) const {
    return static_cast<std::uint64_t>(grid_.entries_before(column)) * 8;
  }
  void replay(const std::vector<JournalRecord>& records);
  void drop_damaged();

  File& file_;
  Journal& journal_;
  const FactorGrid grid_;
  const std::size_t panel_bytes_;
  const std::function<void()> before_keep_;
  Index attempt_ = 0;
  std::vector<std::uint64_t> hashes_;       ///< of the block columns that are kept
  std::map<Index, PivotFailure> failures_;  ///< by attempt
  std::vector<std::vector<double>> made_;
};

}  // namespace gramtile
