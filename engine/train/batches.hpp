// Random batches: a function of the seed and the step alone, so that a run that was stopped goes on
// as if it had not been.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/core/array_source.hpp"
#include "engine/core/ports.hpp"
#include "engine/solve/regression.hpp"

namespace gramtile {

/// `count` of 0 … size − 1, ascending, each set of them as likely. `stream` tells draws of one step
/// apart. The same on every machine.
std::vector<Index> draw_examples(std::uint64_t seed, Index step, std::uint64_t stream, Index size,
                                 Index count);

/// Some examples of a data set, in memory: read image by image.
ArraySource gather_images(BlockSource& images, std::span<const Index> examples);
Targets gather_targets(const Targets& targets, std::span<const Index> examples);

}  // namespace gramtile
