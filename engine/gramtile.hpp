// The front door: K, its gradient and its jacobian, on arrays in memory. docs/library.md has a
// worked example; engine/xtensor.hpp has the same calls on xtensor's arrays.
//
//   Network ── lower() ──► Program ─┐
//   images ── BlockSource ► blocks ─┴► tiles of pairs ► lanes: forward (tape, backward) ► TileSink
//                                        ▲ MatrixSource: ∂L/∂K, tile by tile
//
// A network (engine/network/network.hpp; presets.hpp has the paper's four, io/network/ reads JSON)
// is checked against an image shape and lowered to a Program (engine/network/program.hpp) once.
// Images come through a BlockSource, ∂L/∂K through a MatrixSource, results leave through a
// TileSink (engine/core/ports.hpp). compute_tiles (engine/schedule/compute.hpp) drives them, one
// tile (engine/core/tile.hpp) at a time, in bounded memory. The calls below are that for arrays of
// the caller, which are looked at and written where they are (engine/core/views.hpp): use them
// where K fits in memory, and compute_tiles, as the commands in apps/ do, where it does not.
// kernel_gradient needs neither K nor ∂L/∂K as arrays; its memory does not grow with N.
//
// Every call is synchronous, runs on ComputeOptions::num_threads threads, and gives the same bits
// for any number of them: those of kernel-build and kernel-grad for the same images, type and
// instruction set. Calls on different data may run at the same time.
//
// Of all calls: images must have the shape that `program` was lowered for. They throw Error(kUsage)
// when they do not, when there are none, when a result's array has another shape or element type
// than the result, or when options.memory_bytes is too small; DataError naming the first image with
// a pixel that is not finite; Error(kOther) when a result is not finite (overflow), and then arrays
// of results may be filled in part. options.memory_bytes bounds what the engine holds besides the
// arrays that are passed in. Results are of the type that they are computed in, options.data_type.
//
// Errors are gramtile::Error (engine/core/errors.hpp), with one line that says what to do.
#pragma once

#include <string>
#include <vector>

#include "engine/core/array_source.hpp"
#include "engine/core/array_upstream.hpp"
#include "engine/core/errors.hpp"
#include "engine/core/ports.hpp"
#include "engine/core/views.hpp"
#include "engine/network/network.hpp"
#include "engine/network/presets.hpp"
#include "engine/network/program.hpp"
#include "engine/schedule/compute.hpp"

namespace gramtile {

/// K(x, x) to `k`, [N, N]: exactly symmetric, its diagonal the variances.
void kernel_matrix(const Program& program, const ImageView& x, const MatrixSpan& k,
                   const ComputeOptions& options = {});

/// K(rows, columns) to `k`, [N, M]. An image that is in both is not the diagonal
/// (docs/mathematics.md §4).
void kernel_matrix(const Program& program, const ImageView& rows, const ImageView& columns,
                   const MatrixSpan& k, const ComputeOptions& options = {});

/// The same from any source of images, of which not all need be in memory; each is read once before
/// the run, to see whether pixels are negative. `columns` nullptr: K(rows, rows). Throws what the
/// sources throw, too.
void kernel_matrix(const Program& program, BlockSource& rows, BlockSource* columns,
                   const MatrixSpan& k, const ComputeOptions& options = {});

/// K(x, x) of every image with itself to `k`, [N, 1]: the diagonal of kernel_matrix(program, x, …)
/// to the last bit, at the cost of N pairs.
void kernel_diagonal(const Program& program, const ImageView& x, const MatrixSpan& k,
                     const ComputeOptions& options = {});

/// ∂L/∂θ = Σ_ij ∂L/∂K_ij · ∂K_ij/∂θ, summed in float64 in a fixed order.
struct KernelGradient {
  std::vector<std::string> parameters;  ///< [P] names, in the order of Program::parameters
  std::vector<double> gradient;         ///< [P]
};

/// Gradient of L through K(x, x). `upstream` [N, N], of float32 or float64 whatever K is computed
/// in, is ∂L/∂K with every entry of K counted for itself; it need not be symmetric. Throws also
/// Error(kUsage) for an upstream of another shape and DataError naming its first entry that is not
/// finite. Its bits change where options.memory_bytes is too small for the usual tiles.
KernelGradient kernel_gradient(const Program& program, const ImageView& x,
                               const MatrixView& upstream, const ComputeOptions& options = {});

/// Gradient of L through K(rows, columns); `upstream` is [N, M].
KernelGradient kernel_gradient(const Program& program, const ImageView& rows,
                               const ImageView& columns, const MatrixView& upstream,
                               const ComputeOptions& options = {});

/// The same from any source of images and of ∂L/∂K, in memory that does not grow with the number of
/// images: neither K nor ∂L/∂K need exist as a whole. Sources of images as for kernel_matrix.
KernelGradient kernel_gradient(const Program& program, BlockSource& rows, BlockSource* columns,
                               MatrixSource& upstream, const ComputeOptions& options = {});

/// ∂K_ij/∂θ of every entry and parameter to `jacobian`, [P, N, N], P in the order of
/// Program::parameters; every plane is exactly symmetric. K itself to `k` unless its data is
/// nullptr.
void kernel_jacobian(const Program& program, const ImageView& x, const CubeSpan& jacobian,
                     const MatrixSpan& k = {}, const ComputeOptions& options = {});

/// Of K(rows, columns): `jacobian` is [P, N, M].
void kernel_jacobian(const Program& program, const ImageView& rows, const ImageView& columns,
                     const CubeSpan& jacobian, const MatrixSpan& k = {},
                     const ComputeOptions& options = {});

/// Of the diagonal: `jacobian` is [P, N, 1], the diagonals of the planes of kernel_jacobian().
void kernel_diagonal_jacobian(const Program& program, const ImageView& x, const CubeSpan& jacobian,
                              const MatrixSpan& k = {}, const ComputeOptions& options = {});

}  // namespace gramtile
