// Useful operations of a network: one number per pair that makes rates of different networks
// comparable. It counts what the arithmetic needs, one for every addition, multiplication or fused
// multiply-add of one pair (one vector instruction for a pack), and nothing for loads, stores,
// layouts and boundaries. The weights are those of the float lanes on AVX-512, whatever runs:
//
//   relu, xy ≥ 0 known: 14 a pixel. relu-inl.hpp: 1/(2r), u, max, 4 of the polynomial, the
//     reciprocal root, s, its correction, two products, r − xy, the last sum.
//   relu of any sign: 18. Besides, |xy|, max(xy, 0) and two degrees more.
//   window of k × k: per sum and axis (⌊k/2⌋ + 2)/2, 1 for k = 2, and 2.25 along x for k = 7.
//     window-inl.hpp: neighbours are summed together.
//   window with stride s: (k − 1)·s along x, since s rows are summed for each that is kept, and
//     k − 1 along y.
//   window over the whole map: 1 per input pixel.
//   affine end of a window: 1 a pixel, and 1 more for each further branch of a sum.
//   product of the images: 1 per channel and pixel.
#pragma once

#include "engine/network/program.hpp"

namespace gramtile::bench {

/// Useful operations per pair.
double useful_operations(const Program& program);

/// Σ over layers of their pixels: relus where there are any, else windows. The measure of work of
/// "cost grows with pixels × layers".
double layer_pixels(const Program& program);

}  // namespace gramtile::bench
