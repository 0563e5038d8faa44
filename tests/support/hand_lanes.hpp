// The kernels of the instruction set in use on hand-made operands: one row image against one pack,
// without blocks and tiles, any final map.
#pragma once

#include <algorithm>
#include <limits>
#include <span>
#include <vector>

#include "engine/core/aligned_buffer.hpp"
#include "engine/lanes/lane_program.hpp"
#include "engine/simd/kernels.hpp"

namespace gramtile::test {

/// One run of a lane program. Slots start out as NaN: nothing may be read before it is written.
template <class T>
class HandLanes {
 public:
  explicit HandLanes(const LaneProgram& program)
      : program_(program),
        row_(values()),
        pack_(values() * lanes()),
        slots_(static_cast<std::size_t>(program.num_slots * program.slot_pixels) * lanes()),
        scratch_(static_cast<std::size_t>(program.scratch_vectors) * lanes()) {
    std::fill_n(slots_.data(), slots_.size(), std::numeric_limits<T>::quiet_NaN());
  }

  static std::size_t lanes() { return static_cast<std::size_t>(simd::kernels<T>().lanes); }

  /// Layouts as in LaneBlock: pixels, √xx, then ½/√xx (row) or 1/√xx (pack, [value][lane]).
  std::span<T> row() { return {row_.data(), row_.size()}; }
  std::span<T> pack() { return {pack_.data(), pack_.size()}; }

  void run() {
    simd::kernels<T>().forward(program_.view(),
                               {row_.data(), pack_.data(), slots_.data(), scratch_.data()});
  }

  /// The map in a slot, [pixel][lane].
  std::span<const T> slot(Index slot) const {
    const std::size_t size = static_cast<std::size_t>(program_.slot_pixels) * lanes();
    return {slots_.data() + static_cast<std::size_t>(slot) * size, size};
  }
  std::span<const T> output() const { return slot(program_.output_slot); }

 private:
  std::size_t values() const {
    return static_cast<std::size_t>(values_per_example(program_.view()));
  }

  const LaneProgram& program_;
  AlignedBuffer<T> row_, pack_, slots_, scratch_;
};

}  // namespace gramtile::test
