// The networks that are timed: presets, single operations, and families that grow in one direction.
#pragma once

#include <string>
#include <vector>

#include "engine/network/program.hpp"

namespace gramtile::bench {

struct NamedProgram {
  std::string name;
  Program program;
};

/// The four presets on the images they are made for: 1×28×28, and 3×32×32 for resnet32-gp-cifar10.
std::vector<NamedProgram> preset_programs();

/// Networks of 16 equal operations on 28×28 maps and one window over the whole map, cheaper than
/// any of them: `window3`, `window7`: sums alone; `relu`: relus of maps without
/// negative pixels, behind 1×1 convolutions; `window3_relu`, `window7_relu`: whole layers.
std::vector<NamedProgram> operation_programs();

/// `depth` layers of 7×7 convolution and relu on size×size maps, then one window over the map:
/// convnet-gp is layers(7, 28).
Program layers(Index depth, Index size);

}  // namespace gramtile::bench
