#include "engine/core/aligned_buffer.hpp"

#include <sys/mman.h>

#include <cstring>

namespace gramtile {

void* allocate_zeros(std::size_t bytes) {
  constexpr std::size_t kLargePage = std::size_t{2} << 20;
  const bool large = bytes >= 2 * kLargePage;
  // Not aligned_alloc(): it wants sizes that are multiples of the alignment.
  void* data = nullptr;
  if (posix_memalign(&data, large ? kLargePage : 128, bytes) != 0) throw std::bad_alloc();
#ifdef MADV_HUGEPAGE
  // Whole pages only, so that no more is resident than was asked for. A refusal changes nothing.
  if (large) madvise(data, bytes / kLargePage * kLargePage, MADV_HUGEPAGE);
#endif
  std::memset(data, 0, bytes);
  return data;
}

}  // namespace gramtile
