// NextRows (engine/lanes/next_rows-inl.hpp) by itself, on the instruction set in use.
#pragma once

#include "engine/lanes/lane_step.hpp"

namespace gramtile::test {

/// The step that runs next: windows that go one pixel a step, or one over the whole map.
struct NextRowsJob {
  MapShape input, output;
  WindowGeometry geometry;
};

/// Aligned to a vector.
template <class T>
struct NextRowsBuffers {
  const T* source;  ///< the next step's source, [row][column][lane]
  T* rows;          ///< buffers of a group of rows, kGroupRows · LaneProgram::row_vectors vectors
  T* sums;          ///< output: [row][sums_stride][lane]; of a whole map, one vector
};

/// Hands the source over as a step's consumer does, group by group, in two parts where NextRows
/// wants them. Returns whether it did.
template <class T>
bool sum_next_rows(const NextRowsJob& job, const NextRowsBuffers<T>& buffers);

}  // namespace gramtile::test
