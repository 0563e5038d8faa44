// The matrices of a training step on disk: tiles in files that have no name, so that nothing is
// left of them however a process ends. Every one is made anew in each evaluation.
#pragma once

#include <memory>
#include <string>

#include "engine/train/matrix_room.hpp"
#include "io/files/file_system.hpp"

namespace gramtile {

/// Files in `folder`, whose space is reserved when one is made: Error(kNoSpace) when there is too
/// little. options.memory_bytes bounds what a factor's panel takes, and what solves do.
std::unique_ptr<MatrixRoom> make_disk_room(const std::string& folder, const SolverOptions& options,
                                           FileSystem* file_system = nullptr);

/// Disk that the largest evaluation takes at a time: K, a factor and two matrices of its inverse
/// [bytes].
double disk_room_bytes(Index size, Index edge);

}  // namespace gramtile
