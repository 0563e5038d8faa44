// The front door: K, its gradient and its jacobian, on arrays in memory. docs/library.md has a
// worked example.
//
//   Network ── lower() ──► Program ─┐
//   images ── BlockSource ► blocks ─┴► tiles of pairs ► lanes: forward (tape, backward) ► TileSink
//                                        ▲ UpstreamSource: ∂L/∂K, tile by tile
//
// A network (engine/network/network.hpp; presets.hpp has the paper's four, io/network/ reads JSON)
// is checked against an image shape and lowered to a Program (engine/network/program.hpp) once.
// Images come through a BlockSource, ∂L/∂K through an UpstreamSource, results leave through a
// TileSink (engine/core/ports.hpp). compute_tiles (engine/schedule/compute.hpp) drives them, one
// tile (engine/core/tile.hpp) at a time, in bounded memory. The calls below are that for whole
// arrays: use them where K fits in memory, and compute_tiles, as the commands in apps/ do, where it
// does not. kernel_gradient needs neither K nor ∂L/∂K as arrays; its memory does not grow with N.
//
// Every call is synchronous, runs on ComputeOptions::num_threads threads, and gives the same bits
// for any number of them. Calls on different data may run at the same time.
//
// Errors are gramtile::Error (engine/core/errors.hpp), with one line that says what to do.
#pragma once

#include <string>
#include <vector>
#include <xtensor/xtensor.hpp>

#include "engine/core/array_source.hpp"
#include "engine/core/array_upstream.hpp"
#include "engine/core/errors.hpp"
#include "engine/core/ports.hpp"
#include "engine/network/network.hpp"
#include "engine/network/presets.hpp"
#include "engine/network/program.hpp"
#include "engine/schedule/compute.hpp"

namespace gramtile {

/// Images [N, C, H, W], taken as they are (bytes are best divided by 255 first).
using ImageArray = xt::xtensor<double, 4>;
/// K or ∂L/∂K, [rows, columns].
using MatrixArray = xt::xtensor<double, 2>;

/// Shape of every image of the array, as lower() takes it.
ImageShape image_shape(const ImageArray& images);

/// K(x, x), [N, N]: exactly symmetric, its diagonal the variances.
///
/// Of all calls here: images must have the shape that `program` was lowered for. They throw
/// Error(kUsage) when they do not, when there are none, or when options.memory_bytes is too small;
/// DataError naming the first image with a pixel that is not finite; Error(kOther) when a result is
/// not finite (overflow). options.memory_bytes bounds what the engine holds besides the arrays that
/// are passed in and returned.
MatrixArray kernel_matrix(const Program& program, const ImageArray& x,
                          const ComputeOptions& options = {});

/// K(rows, columns), [N, M]. An image that is in both is not the diagonal (docs/mathematics.md §4).
MatrixArray kernel_matrix(const Program& program, const ImageArray& rows, const ImageArray& columns,
                          const ComputeOptions& options = {});

/// ∂L/∂θ = Σ_ij ∂L/∂K_ij · ∂K_ij/∂θ, summed in float64 in a fixed order.
struct KernelGradient {
  std::vector<std::string> parameters;  ///< [P] names, in the order of Program::parameters
  std::vector<double> gradient;         ///< [P]
};

/// Gradient of L through K(x, x). `upstream` [N, N] is ∂L/∂K with every entry of K counted for
/// itself; it need not be symmetric. Throws also Error(kUsage) for an upstream of another shape and
/// DataError naming its first entry that is not finite.
KernelGradient kernel_gradient(const Program& program, const ImageArray& x,
                               const MatrixArray& upstream, const ComputeOptions& options = {});

/// Gradient of L through K(rows, columns); `upstream` is [N, M].
KernelGradient kernel_gradient(const Program& program, const ImageArray& rows,
                               const ImageArray& columns, const MatrixArray& upstream,
                               const ComputeOptions& options = {});

/// The same from any source of images and of ∂L/∂K, in memory that does not grow with the number of
/// images: neither K nor ∂L/∂K need exist as a whole. `columns` nullptr: K(rows, rows). Throws what
/// the sources throw, too.
KernelGradient kernel_gradient(const Program& program, BlockSource& rows, BlockSource* columns,
                               UpstreamSource& upstream, const ComputeOptions& options = {});

/// ∂K_ij/∂θ of every entry and parameter, and K itself.
struct KernelJacobian {
  std::vector<std::string> parameters;  ///< [P] names, in the order of Program::parameters
  xt::xtensor<double, 3> jacobian;      ///< [P, N, M]
  MatrixArray kernel;                   ///< [N, M]
};

/// Jacobian of K(x, x), M = N; ∂K/∂θ is exactly symmetric.
KernelJacobian kernel_jacobian(const Program& program, const ImageArray& x,
                               const ComputeOptions& options = {});

/// Jacobian of K(rows, columns).
KernelJacobian kernel_jacobian(const Program& program, const ImageArray& rows,
                               const ImageArray& columns, const ComputeOptions& options = {});

}  // namespace gramtile
