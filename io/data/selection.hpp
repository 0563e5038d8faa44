// Which images of a source are the examples, and in which order: a list of ranges, however it was
// written (ranges, an index list, labels). Takes 24 bytes per range, so an index list without any
// order takes 24 bytes per example.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/core/index.hpp"

namespace gramtile {

class Selection {
 public:
  Selection() = default;
  explicit Selection(std::span<const Range> ranges);

  /// The images of `range` go behind those that are there. Ranges that continue one another become
  /// one.
  void append(Range range);

  Index size() const { return size_; }
  /// One range: example i is image first() + i.
  bool is_contiguous() const { return runs_.size() <= 1; }
  const std::vector<Range>& runs() const { return runs_; }
  /// The smallest range that holds all of them.
  Range bounds() const;
  /// Number of the image that is `example`.
  Index image(Index example) const;
  std::vector<std::int64_t> images() const;

  /// A part of the examples that lies in one range of images.
  struct Part {
    Range images;
    Index first_example = 0;  ///< counted from the start of what was asked for
  };
  /// `examples` as parts, in the order of the images: that is how files are read best.
  std::vector<Part> parts(Range examples) const;

 private:
  std::vector<Range> runs_;
  std::vector<Index> first_;  // example at which each run begins
  Index size_ = 0;
};

}  // namespace gramtile
