// The backend that computes packs of pairs on the lanes of the processor's vector registers
// (engine/lanes/README.md), with the best instruction set that there is (engine/simd/).
#pragma once

#include "engine/backend/backend.hpp"

namespace gramtile {

/// Its name is that of the instruction set in use.
const BackendKind& lanes_backend();

}  // namespace gramtile
