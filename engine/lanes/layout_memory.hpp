// What layout_checker.cpp keeps in place of numbers, and the loops of window sums on it.
#pragma once

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "engine/lanes/lane_step.hpp"

namespace gramtile::layout {

/// What a vector is: part `index` of something that `owner` made. Owner 0: nothing.
struct Tag {
  std::int64_t owner = 0;
  Index index = 0;
  bool operator==(const Tag&) const = default;
};

/// A buffer of vectors.
class Memory {
 public:
  Memory(std::string_view name, Index size)
      : name_(name), tags_(static_cast<std::size_t>(std::max<Index>(size, 0))) {}

  void write(Index at, Index count, Tag first) {
    require_inside(at, count);
    for (Index i = 0; i < count; ++i) tag(at + i) = {first.owner, first.index + i};
  }
  /// `count` vectors from `at` on are what `first` and its successors name.
  void read(Index at, Index count, Tag first) const {
    require_inside(at, count);
    for (Index i = 0; i < count; ++i) {
      const Tag found = tags_[static_cast<std::size_t>(at + i)];
      if (found == Tag{first.owner, first.index + i}) continue;
      throw std::logic_error(
          fmt::format("{}: vector {} should be part {} of {}, but is part {} of {}", name_, at + i,
                      first.index + i, first.owner, found.index, found.owner));
    }
  }
  void require_inside(Index at, Index count) const {
    if (at >= 0 && count >= 0 && at + count <= static_cast<Index>(tags_.size())) return;
    throw std::logic_error(fmt::format("{}: vectors {} to {} of {} are used", name_, at,
                                       at + count - 1, tags_.size()));
  }

 private:
  Tag& tag(Index at) { return tags_[static_cast<std::size_t>(at)]; }
  std::string_view name_;
  std::vector<Tag> tags_;
};

/// Rows of a map, all of their columns or some.
struct Rows {
  Index first, count;
};
struct Columns {
  Index from, to;
};

class Scratch;

/// One window sum: the shapes and geometry of a step, or of a transposed one, and its sums along x.
struct Window {
  MapShape input, output;
  WindowGeometry geometry;
  Index sums_offset = 0;
  bool sums_ready = false;
  std::int64_t owner = 0;  ///< of the sums

  bool whole() const { return is_whole_window(geometry, input, output); }
  bool unit() const { return !whole() && is_unit_window(geometry); }
  Index stride() const { return unit() ? sums_stride(output) : output.width; }
  /// What a unit window takes of a row buffer.
  void require_columns(const Scratch& scratch) const;
};

/// Scratch of one pass: row buffers, whose extents are checked, and the sums along x.
class Scratch {
 public:
  Scratch(Index row_vectors, Index sums_vectors)
      : row_vectors_(row_vectors), sums_("sums along x", sums_vectors) {}

  /// `columns` of a group of rows in one of the two row buffers.
  void require_columns(Index columns) const {
    if (columns <= row_vectors_) return;
    throw std::logic_error(fmt::format("row buffers: {} columns of {}", columns, row_vectors_));
  }
  Memory& sums() { return sums_; }

 private:
  Index row_vectors_;
  Memory sums_;
};

/// The sums along x that a consumer makes for the next step (NextRows).
class Next {
 public:
  /// `may_split`: groups can come in two parts.
  Next(Scratch& scratch, const Window& window, bool may_split);

  Index split() const { return summed_first_ == 0 ? 0 : summed_first_ + kept() - low(); }
  void start() const;
  void first_part(Index y) const { sum(Rows{y, kGroupRows}, {0, summed_first_}); }
  void last_part(Index y) const { sum(Rows{y, kGroupRows}, {summed_first_, window_.stride()}); }
  void rows(const Rows& rows) const;

 private:
  void sum(const Rows& rows, const Columns& columns) const;
  Index low() const { return window_.geometry.x.pad_low; }
  Index kept() const { return window_.geometry.x.kernel_size - 1; }

  Scratch& scratch_;
  Window window_;
  Index summed_first_ = 0;
};

/// What is done with sums along y: pixels of a column are taken, then rows finished.
class Consumer {
 public:
  virtual ~Consumer() = default;
  virtual void take(const Rows& rows, const Columns& columns) = 0;
  virtual const Next* next() const { return nullptr; }
};

/// Where a window's rows come from.
class Source {
 public:
  virtual ~Source() = default;
  virtual void take(const Rows& rows) = 0;
};

/// Runs one window sum, or a copy pixel by pixel, through the loops of window-inl.hpp.
void run_window(Scratch& scratch, const Window& window, Source& source, Consumer& consumer);
void run_pixels(Scratch& scratch, const MapShape& shape, Source& source, Consumer& consumer);
/// All rows of a map handed over in groups (HandOverMap).
void hand_over(const MapShape& shape, Consumer& consumer);

}  // namespace gramtile::layout
