// How --memory is shared out between the engine and what stands around it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>

namespace gramtile {

struct MemoryBudget {
  std::size_t engine_bytes = 0;    ///< ComputeOptions::memory_bytes
  std::size_t queue_bytes = 0;     ///< tiles that wait to be written
  std::uint64_t unpack_bytes = 0;  ///< compressed contents held in memory, per data set
};

/// 1/16 for the writer's queue (at most 16 MiB, seconds of results: how full it gets depends on the
/// disk, and memory is not to grow in a long run), 1/32 for each of up to three compressed data
/// sets (at most 64 MiB), 1/16 for the process itself (libraries, HDF5, allocator; at most 48 MiB);
/// the engine gets the rest, at least three quarters.
MemoryBudget share_memory(std::size_t memory_bytes);

/// The least --memory whose engine share satisfies `fits`, which holds from some size on; to the
/// nearest MiB above. At most 2⁶⁰ bytes.
std::size_t least_memory(const std::function<bool(std::size_t engine_bytes)>& fits);

}  // namespace gramtile
