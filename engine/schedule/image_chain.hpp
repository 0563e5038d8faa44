// The chain of variances of one pack of images, forwards with a tape and backwards, in double.
#pragma once

#include <span>

#include "engine/core/index.hpp"
#include "engine/schedule/tile_derivative.hpp"

namespace gramtile {

/// Examples per pack of the chain.
Index chain_lanes();

/// Images that no pair has left bends for.
struct NoBends {};

/// Runs the chain of examples [first, first + count) of `block`, count ≤ chain_lanes(). `seeds`
/// [count] are the adjoints of K(x, x). `bends(i, pixels, to)` writes example first + i's
/// Σ adjoint · bend of these pixels, among num_map_pixels; or it is NoBends. Leaves the raw
/// derivatives [step][kNumRaw][lane] in workspace.chain_raw.
template <class T, class Bends>
void run_image_chain(const PreparedBlock<T>& block, const ReverseProgram& program, Index first,
                     Index count, std::span<const double> seeds, const Bends& bends,
                     DerivativeWorkspace<T>& workspace);

}  // namespace gramtile

#include "engine/schedule/image_chain.ipp"
