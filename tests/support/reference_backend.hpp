// The textbook recursion (engine/reference/) as a backend: the slow twin of the lanes on which the
// whole pipeline runs, and the shortest example of how a backend is written.
#pragma once

#include "engine/backend/backend.hpp"

namespace gramtile::test {

/// "reference". Computes pair by pair in float64, and rounds to the run's data type at the end.
const BackendKind& reference_backend();

}  // namespace gramtile::test
