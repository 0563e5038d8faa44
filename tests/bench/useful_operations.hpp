// Useful operations of a network: one number per pair that makes rates of different networks
// comparable. It counts what the arithmetic needs, one for every addition, multiplication or fused
// multiply-add of one pair (one vector instruction for a pack), and nothing for loads, stores,
// layouts and boundaries. The weights are those of the float lanes on AVX-512, whatever runs:
//
//   relu, xy ≥ 0 known       14   relu-inl.hpp: half_inverse, u, max, polynomial 4, reciprocal
//   root,
//                                 s, correction, two products, r − xy, last sum
//   relu, any sign           18   … and |xy|, max(xy, 0), a polynomial of two degrees more
//   window, along x, per sum      window-inl.hpp: (⌊k/2⌋ + 2)/2; 2.25 for k = 7; 1 for k = 2
//   window, along y, per sum      (⌊k/2⌋ + 2)/2; 1 for k = 2
//   … with a stride s             k − 1 along y, (k − 1)·s along x: s rows are summed for each
//   window over the whole map     1 per input pixel
//   affine end of a window    1   and 1 more for each further branch of a sum
//   product of the images     C   per pixel
#pragma once

#include "engine/network/program.hpp"

namespace gramtile::bench {

/// Useful operations per pair.
double useful_operations(const Program& program);

/// Σ over layers of their pixels: relus where there are any, else windows. The measure of work of
/// "cost grows with pixels × layers".
double layer_pixels(const Program& program);

}  // namespace gramtile::bench
