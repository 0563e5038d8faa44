#include "apps/common/memory.hpp"

#include <algorithm>

namespace gramtile::apps {

MemoryBudget share_memory(std::size_t memory_bytes) {
  constexpr std::size_t kMebi = std::size_t{1} << 20;
  constexpr std::size_t kMaxDataSets = 3;
  MemoryBudget budget;
  budget.queue_bytes = std::min(memory_bytes / 16, 64 * kMebi);
  budget.unpack_bytes = std::min(memory_bytes / 32, 64 * kMebi);
  const std::size_t process_bytes = std::min(memory_bytes / 16, 48 * kMebi);
  budget.engine_bytes =
      memory_bytes - budget.queue_bytes - kMaxDataSets * budget.unpack_bytes - process_bytes;
  return budget;
}

}  // namespace gramtile::apps
