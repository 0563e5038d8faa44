#include "io/job/memory_budget.hpp"

#include <algorithm>

namespace gramtile {
namespace {

constexpr std::size_t kMebi = std::size_t{1} << 20;

}  // namespace

MemoryBudget share_memory(std::size_t memory_bytes) {
  constexpr std::size_t kMaxDataSets = 3;
  MemoryBudget budget;
  budget.queue_bytes = std::min(memory_bytes / 16, 16 * kMebi);
  budget.unpack_bytes = std::min(memory_bytes / 32, 64 * kMebi);
  const std::size_t process_bytes = std::min(memory_bytes / 16, 48 * kMebi);
  budget.engine_bytes =
      memory_bytes - budget.queue_bytes - kMaxDataSets * budget.unpack_bytes - process_bytes;
  return budget;
}

std::size_t least_memory(const std::function<bool(std::size_t engine_bytes)>& fits) {
  std::size_t too_small = 0, enough = std::size_t{1} << 40;  // [MiB]
  while (enough - too_small > 1) {
    const std::size_t middle = too_small + (enough - too_small) / 2;
    (fits(share_memory(middle * kMebi).engine_bytes) ? enough : too_small) = middle;
  }
  return enough * kMebi;
}

}  // namespace gramtile
