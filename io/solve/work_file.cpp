#include "io/solve/work_file.hpp"

#include <algorithm>
#include <bit>
#include <utility>

#include "io/run/spec/content_hash.hpp"

namespace gramtile {
namespace {

// A record's `tile` is attempt · 2³² + block column, or one of these in the column's place.
constexpr Index kAttempt = Index{1} << 32;
constexpr Index kFailedRow = kAttempt - 1;    // hash: row of the pivot
constexpr Index kFailedPivot = kAttempt - 2;  // hash: bits of the pivot

std::span<const std::byte> bytes_of(std::span<const double> values) {
  return std::as_bytes(values);
}

}  // namespace

WorkFile::WorkFile(File& file, Journal& journal, FactorGrid grid, std::size_t panel_bytes,
                   std::function<void()> before_keep)
    : file_(file),
      journal_(journal),
      grid_(grid),
      panel_bytes_(panel_bytes),
      before_keep_(std::move(before_keep)) {
  replay(journal.records());
  drop_damaged();
}

std::size_t WorkFile::panel_bytes(const FactorGrid& grid, Range panel) {
  Index entries = panel.size() * grid.edge * grid.edge;
  for (Index c = panel.start; c < panel.stop; ++c) entries += grid.column_entries(c);
  return static_cast<std::size_t>(entries) * 8;
}

Range WorkFile::panel_from(const FactorGrid& grid, Index first, std::size_t bytes) {
  Range panel{first, first + 1};
  while (panel.stop < grid.num_blocks() && panel_bytes(grid, {first, panel.stop + 1}) <= bytes)
    ++panel.stop;
  return panel;
}

// Records of a column may come twice, where the first was found damaged: the later one counts.
void WorkFile::replay(const std::vector<JournalRecord>& records) {
  for (const JournalRecord& record : records) {
    const Index attempt = record.tile / kAttempt, column = record.tile % kAttempt;
    if (attempt != attempt_) hashes_.clear();
    attempt_ = attempt;
    if (column == kFailedRow) {
      failures_[attempt].index = static_cast<Index>(record.hash);
    } else if (column == kFailedPivot) {
      failures_[attempt].pivot = std::bit_cast<double>(record.hash);
    } else if (column <= num_kept() && column < grid_.num_blocks()) {
      hashes_.resize(static_cast<std::size_t>(column));
      hashes_.push_back(record.hash);
    }
  }
}

void WorkFile::drop_damaged() {
  std::vector<double> column;
  for (Index c = 0; c < num_kept(); ++c) {
    column.resize(static_cast<std::size_t>(grid_.column_entries(c)));
    file_.read_all(offset_of(c), std::as_writable_bytes(std::span(column)));
    if (hash64(bytes_of(column)) == hashes_[static_cast<std::size_t>(c)]) continue;
    hashes_.resize(static_cast<std::size_t>(c));
    return;
  }
}

std::optional<PivotFailure> WorkFile::failure_of(Index attempt) const {
  const auto found = failures_.find(attempt);
  if (found == failures_.end()) return std::nullopt;
  return found->second;
}

void WorkFile::begin(Index attempt) {
  if (attempt != attempt_) hashes_.clear();
  attempt_ = attempt;
}

void WorkFile::record(const PivotFailure& failure) {
  failures_[attempt_] = failure;
  journal_.append(std::vector<JournalRecord>{
      {attempt_ * kAttempt + kFailedPivot, std::bit_cast<std::uint64_t>(failure.pivot)},
      {attempt_ * kAttempt + kFailedRow, static_cast<std::uint64_t>(failure.index)}});
}

std::vector<std::span<double>> WorkFile::make(Range panel) {
  std::vector<std::span<double>> columns;
  made_.clear();
  for (Index c = panel.start; c < panel.stop; ++c)
    made_.emplace_back(static_cast<std::size_t>(grid_.column_entries(c)));
  for (auto& column : made_) columns.emplace_back(column);
  return columns;
}

void WorkFile::keep(Range panel) {
  before_keep_();
  std::vector<JournalRecord> records;
  for (Index c = panel.start; c < panel.stop; ++c) {
    const auto bytes = bytes_of(made_[static_cast<std::size_t>(c - panel.start)]);
    file_.write(offset_of(c), bytes);
    records.push_back({attempt_ * kAttempt + c, hash64(bytes)});
  }
  file_.sync_data();
  journal_.append(records);
  for (const JournalRecord& record : records) hashes_.push_back(record.hash);
  made_.clear();
}

const double* WorkFile::tile(Index row, Index column, std::span<double> buffer) const {
  const auto entries =
      static_cast<std::size_t>(grid_.block(row).size() * grid_.block(column).size());
  const auto offset = static_cast<std::uint64_t>(grid_.tile_offset(row, column)) * 8;
  file_.read_all(offset_of(column) + offset, std::as_writable_bytes(buffer.first(entries)));
  return buffer.data();
}

}  // namespace gramtile
