// The chain of variances of one pack of images, forwards with a tape and backwards, in double.
#pragma once

#include <span>

#include "engine/schedule/tile_derivative.hpp"

namespace gramtile {

/// Examples per pack of the chain.
Index chain_lanes();

/// Runs the chain of examples [first, first + count) of `block`, count ≤ chain_lanes(). `seeds`
/// [count] are the adjoints of K(x, x). `bend_of(i)` points to example first + i's Σ adjoint · bend
/// [num_map_pixels], or is nullptr for all. Leaves the raw derivatives [step][kNumRaw][lane] in
/// workspace.chain_raw.
template <class T, class BendOf>
void run_image_chain(const PreparedBlock<T>& block, const ReverseProgram& program, Index first,
                     Index count, std::span<const double> seeds, const BendOf& bend_of,
                     DerivativeWorkspace<T>& workspace);

}  // namespace gramtile

#include "engine/schedule/image_chain.ipp"
