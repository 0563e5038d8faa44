#include <algorithm>

#include "engine/solve/factor_store.hpp"

namespace gramtile {
namespace {

// Enough tiles between two waits for a machine's threads, and few that are factored with the panel.
constexpr Index kPanelBlocks = 4;

}  // namespace

MemoryStore::MemoryStore(FactorGrid grid)
    : grid_(grid), entries_(static_cast<std::size_t>(grid.num_entries())) {}

Range MemoryStore::next_panel() const {
  return {num_kept_, std::min(num_kept_ + kPanelBlocks, grid_.num_blocks())};
}

std::vector<std::span<double>> MemoryStore::make(Range panel) {
  std::vector<std::span<double>> columns;
  for (Index c = panel.start; c < panel.stop; ++c) {
    columns.push_back(
        std::span(entries_).subspan(static_cast<std::size_t>(grid_.entries_before(c)),
                                    static_cast<std::size_t>(grid_.column_entries(c))));
  }
  return columns;
}

const double* MemoryStore::tile(Index row, Index column, std::span<double>) const {
  return entries_.data() + grid_.entries_before(column) + grid_.tile_offset(row, column);
}

}  // namespace gramtile
