// Where sums along x stand in scratch, behind the row buffers (window-inl.hpp): the one place that
// gives them room. Sums are made either in the loop that reads them, or (LaneStep::sums_ready) in
// the loop before, while that loop still reads its own. layout_checker.hpp proves for a program
// that no two that live together meet.
#pragma once

#include "engine/lanes/lane_step.hpp"

namespace gramtile {

/// Rows of sums along x in scratch.
struct ScratchPlace {
  Index offset = 0;  ///< [vectors]
  Index rows = 0, stride = 0;
  Index extent() const { return rows * stride; }
  Index end() const { return offset + extent(); }
};

/// Room for three of the largest maps of sums.
class ScratchRoom {
 public:
  /// What unit windows from `input` to `output` need, wherever it stands: a map of sums.
  static ScratchPlace of(const MapShape& input, const MapShape& output);
  /// What a window over the whole map needs: its total.
  static ScratchPlace of_total() { return {.rows = 1, .stride = 1}; }
  /// What any other windows need: a ring of rows, or where they go round the map, all rows; and
  /// transposed, a map.
  static ScratchPlace of_ring(const LaneStep& step);
  static ScratchPlace of_transposed(const LaneStep& step);

  /// Before the first placement, with everything that will be placed.
  void include(const ScratchPlace& place);
  Index size() const { return 3 * largest_; }  ///< [vectors]

  /// An offset for sums that are made in the loop that reads them.
  Index place(const ScratchPlace& place) const { return size() - place.extent(); }

  /// An offset for a map of sums that is made while that at `previous` is read, by windows of
  /// `geometry`. It takes the place of rows whose last reader is behind: when rows y, …, y + 3 are
  /// made, those from y + 4 − pad_low on are still to be read. A group can come in two parts
  /// (next_rows-inl.hpp); then the columns of the second are still to be read of the four rows
  /// before as well, and rows of another width would lie over them. Where there is no room left
  /// below, it stands apart; and where windows go round the map, which need its first rows last.
  Index place_behind(const ScratchPlace& place, const ScratchPlace& previous,
                     const WindowGeometry& geometry) const;

  /// An offset at which `place` does not meet `previous` at all: at one of the ends.
  Index place_apart(const ScratchPlace& place, const ScratchPlace& previous) const;

 private:
  Index largest_ = 1;
};

}  // namespace gramtile
