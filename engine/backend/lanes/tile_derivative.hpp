// ∂L/∂θ and ∂K/∂θ of one tile.
//
// Gradient: every group of columns runs forwards with a tape and backwards, and leaves, per image
// and relu, one map Σ adjoint · bend. When all groups are done, those maps are added in a fixed
// order and every image of the tile runs its own chain of variances back once. Nothing depends on
// who computed what.
#pragma once

#include <memory>
#include <span>

#include "engine/backend/lanes/tile_kernel.hpp"
#include "engine/lanes/reverse_program.hpp"

namespace gramtile {

/// Everything one thread needs to differentiate packs of pairs, and packs of images.
template <class T>
struct DerivativeWorkspace {
  DerivativeWorkspace(const ReverseProgram& program, bool jacobian);
  static std::size_t bytes(const ReverseProgram& program, bool jacobian);

  /// The chain of variances of one pack of images: from `seeds` and `bends` to `raw`
  /// (ChainOperands).
  void run_chain(const ReverseProgram& program, const PreparedBlock<T>& block, Index pack,
                 const T* bends);

  LaneWorkspace<T> pair;          ///< tape
  AlignedBuffer<T> adjoints;      ///< jacobian: three sets
  AlignedBuffer<T> side_scratch;  ///< jacobian: two, each as pair.scratch
  AlignedBuffer<T> bend;          ///< gradient: of a pack of images; jacobian: of a relu's pairs
  AlignedBuffer<T> group, raw, seeds;
};

/// ∂L/∂K of one tile. `direct` [rows, columns] always; `mirrored` [columns, rows], ∂L/∂K at the
/// mirror image, for tiles of a symmetric matrix off the diagonal; else empty.
struct TileUpstream {
  std::span<const double> direct, mirrored;
};

/// What the pairs of a tile leave for the chains of variances: of an image x with its partners y,
/// Σ adjoint · √yy √(1−c²), which √xx makes adjoint · bend. Large, so tiles hand it on to each
/// other instead of asking the system for fresh pages. A sum has at most as many terms as a tile
/// has rows, so T is exact enough.
template <class T>
struct PairBends {
  AlignedBuffer<T> rows;     ///< [group of columns, row, num_map_pixels]
  AlignedBuffer<T> columns;  ///< [pack of columns, num_map_pixels, lane]
};

/// Room for tiles of up to `tile_size`.
template <class T>
PairBends<T> allocate_bend_sums(const LaneProgram& program, Index tile_size);

/// Its size [bytes].
template <class T>
std::size_t bend_sums_bytes(const LaneProgram& program, Index tile_size);

/// Adds the tile's contribution to `gradient` [P] and, unless it is empty, writes K to `kernel`.
template <class T>
void compute_tile_gradient(const TileOperands<T>& tile, const ReverseProgram& program,
                           const TileUpstream& upstream, Executor& executor,
                           WorkspacePool<DerivativeWorkspace<T>>& workspaces,
                           WorkspacePool<PairBends<T>>& bend_sums, std::span<T> kernel,
                           std::span<double> gradient);

/// Writes ∂K/∂θ to `jacobian`, [P, rows, columns], and, unless it is empty, K to `kernel`.
template <class T>
void compute_tile_jacobian(const TileOperands<T>& tile, const ReverseProgram& program,
                           Executor& executor, WorkspacePool<DerivativeWorkspace<T>>& workspaces,
                           std::span<T> kernel, std::span<T> jacobian);

/// The same for K(x, x) of every example of a block: `jacobian` is [P, examples].
template <class T>
void compute_diagonal_jacobian(const PreparedBlock<T>& block, const ReverseProgram& program,
                               Executor& executor,
                               WorkspacePool<DerivativeWorkspace<T>>& workspaces,
                               std::span<T> jacobian);

}  // namespace gramtile
