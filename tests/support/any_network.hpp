// Networks that nobody picked, for the campaign of random networks: everything that a network file
// may say, on small maps, and what engines get wrong more often than chance would draw it.
#pragma once

#include "tests/support/random_network.hpp"

namespace gramtile::test {

/// A network and images' shape from a seed alone, the same on every machine. Kernels of 1 to 9,
/// strides and dilations of 1 to 3, padding of 0 to 4 and "same", on maps of 1 to 16 pixels an
/// axis, square or not, with 1 to 4 channels; nested sums, mixtures and repeats; numbers, and
/// named, shared, scaled and fixed parameters; weights of 0. A third are chains of equal
/// convolutions, half of these of a depth at which sums along x that follow each other around a
/// buffer come back to its start: n − 1 a multiple of 2·size/padding. Ends with a map of 1×1,
/// reached in several ways. Weights make up for windows that mostly hang over the map's edge, so
/// that no variance leaves the range of float32 by itself. One pair costs the reference at most
/// some 10⁵ operations.
RandomCase any_case(std::uint64_t seed);

}  // namespace gramtile::test
