// A store that behaves like one on disk, without a disk: panels of a chosen width are copied out
// when they are kept, tiles are copied into the caller's buffer. Can stop in the middle.
#pragma once

#include <algorithm>
#include <vector>

#include "engine/core/errors.hpp"
#include "engine/solve/factor_store.hpp"

namespace gramtile::test {

class PanelStore final : public FactorStore {
 public:
  PanelStore(FactorGrid grid, Index panel_blocks)
      : grid_(grid),
        panel_blocks_(panel_blocks),
        kept_(static_cast<std::size_t>(grid.num_blocks())) {}

  /// keep() throws once so many panels were kept.
  void stop_after(Index panels) { panels_left_ = panels; }

  const FactorGrid& grid() const override { return grid_; }
  bool is_resident() const override { return false; }
  Index num_kept() const override { return num_kept_; }
  Range next_panel() const override {
    return {num_kept_, std::min(num_kept_ + panel_blocks_, grid_.num_blocks())};
  }
  std::vector<std::span<double>> make(Range panel) override {
    made_.clear();
    std::vector<std::span<double>> columns;
    for (Index c = panel.start; c < panel.stop; ++c)
      made_.emplace_back(static_cast<std::size_t>(grid_.column_entries(c)), 7e77);
    for (auto& column : made_) columns.emplace_back(column);
    return columns;
  }
  void keep(Range panel) override {
    if (panels_left_-- == 0) throw Error(ErrorKind::kIo, "stopped");
    for (Index c = panel.start; c < panel.stop; ++c)
      kept_[static_cast<std::size_t>(c)] = made_[static_cast<std::size_t>(c - panel.start)];
    made_.clear();
    num_kept_ = panel.stop;
  }
  void restart() override { num_kept_ = 0; }
  const double* tile(Index row, Index column, std::span<double> buffer) const override {
    const auto& from = kept_[static_cast<std::size_t>(column)];
    const Index entries = grid_.block(row).size() * grid_.block(column).size();
    std::copy_n(from.begin() + grid_.tile_offset(row, column), entries, buffer.begin());
    return buffer.data();
  }

 private:
  FactorGrid grid_;
  Index panel_blocks_;
  std::vector<std::vector<double>> kept_, made_;
  Index num_kept_ = 0, panels_left_ = -1;
};

}  // namespace gramtile::test
