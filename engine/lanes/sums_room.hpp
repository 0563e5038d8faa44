// Where the maps of sums along x stand in scratch (window-inl.hpp), when one step's sums along y
// become the next one's sums along x in one loop.
#pragma once

#include "engine/lanes/lane_step.hpp"

namespace gramtile {

/// Rows of sums along x in scratch.
struct SumsPlace {
  Index offset = 0;  ///< [vectors]
  Index rows = 0, stride = 0;
  Index extent() const { return rows * stride; }
};

/// Room for three of the largest maps of sums.
class SumsRoom {
 public:
  /// What unit windows from `input` to `output` need, wherever it stands.
  static SumsPlace of(const MapShape& input, const MapShape& output);

  /// Before the first placement, with every map that will be placed.
  void include(const SumsPlace& place);
  Index size() const { return 3 * largest_; }  ///< [vectors]

  /// Gives sums that are made from the step's source an offset.
  Index place(const SumsPlace& place) const { return size() - place.extent(); }

  /// Gives sums that are made while those at `previous` are read an offset. They take the place of
  /// rows whose last reader is behind: rows y, …, y + 3 are made when those from y + 4 − `pad_low`
  /// on, the padding of `previous`, are still to be read. Where there is no room left below, at one
  /// of the ends: one is free.
  Index place_behind(const SumsPlace& place, const SumsPlace& previous, Index pad_low) const;

 private:
  Index largest_ = 1;
};

}  // namespace gramtile
