// A block of images made ready for the kernels: pixels and variance stacks in both lane layouts.
#pragma once

#include <span>
#include <vector>

#include "engine/backend/backend.hpp"
#include "engine/core/aligned_buffer.hpp"
#include "engine/core/index.hpp"
#include "engine/lanes/lane_program.hpp"

namespace gramtile {

/// Maps and row buffers of one thread. Reused from pack to pack.
template <class T>
struct LaneWorkspace {
  LaneWorkspace(const LaneProgram& program, Index lanes)
      : slots(static_cast<std::size_t>(program.num_slots * program.slot_pixels * lanes)),
        scratch(static_cast<std::size_t>(program.scratch_vectors * lanes)) {}

  static std::size_t bytes(const LaneProgram& program, Index lanes) {
    return static_cast<std::size_t>(
               (program.num_slots * program.slot_pixels + program.scratch_vectors) * lanes) *
           sizeof(T);
  }

  AlignedBuffer<T> slots, scratch;
};

/// The last pack is filled up with black images; they never reach a result.
template <class T>
struct PreparedBlock : BackendBlock {
  LaneBlock<T> view;             ///< into the buffers below
  std::vector<double> diagonal;  ///< K(x, x) of every example
  /// s of every example: its pixels are multiplied with 2^s (LaneProgram::scales_images)
  std::vector<int> exponents;
  AlignedBuffer<T> packs, rows;

  static std::size_t bytes(const LaneProgram& program, Index num_examples);
};

/// Room for a block; `prepare_pack` fills it pack by pack.
template <class T>
PreparedBlock<T> allocate_block(const LaneProgram& program, Range examples);

/// The same in the buffers that `block` has, where they suffice.
template <class T>
void reuse_block(const LaneProgram& program, Range examples, PreparedBlock<T>& block);

/// Computes the variance stacks of the examples of pack `pack` (kernels<T>().lanes of them) and
/// stores both layouts. `pixels`: [examples, C, H, W] of the whole block. Different packs can be
/// prepared by different threads. Throws Error(kOther), naming the example by its position in its
/// data set, when K(x, x) is too large or too small for T, or a layer's variances are (which takes
/// pixels of very different sizes, or a bias beside pixels that are very faint or glaring).
template <class T>
void prepare_pack(const LaneProgram& program, std::span<const double> pixels, Index pack,
                  LaneWorkspace<double>& workspace, PreparedBlock<T>& block);

/// Packs of a block of `num_examples`.
template <class T>
Index num_packs(Index num_examples);

}  // namespace gramtile
