#include "engine/core/aligned_buffer.hpp"

#include <sys/mman.h>

#include <atomic>
#include <cstdint>
#include <cstdlib>
#include <cstring>

#include "engine/core/kept_buffers.hpp"

namespace gramtile {
namespace {

std::atomic<std::size_t> from_the_system = 0;

constexpr std::size_t kPage = 4096, kLargePage = std::size_t{2} << 20;

/// Sanitizers watch what malloc() gives. GCC tells of them by macros, clang by features.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr bool kWatched = true;
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
constexpr bool kWatched = true;
#else
constexpr bool kWatched = false;
#endif
#else
constexpr bool kWatched = false;
#endif

bool is_the_systems(std::size_t bytes) { return !kWatched && bytes >= (std::size_t{1} << 20); }

char* map_pages(std::size_t bytes) {
  void* const data =
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (data == MAP_FAILED) throw std::bad_alloc();
  return static_cast<char*>(data);
}

/// Zeros at a multiple of kLargePage, in large pages.
char* map_large_pages(std::size_t bytes) {
  const std::size_t used = (bytes + kPage - 1) / kPage * kPage, room = used + kLargePage;
  char* const start = map_pages(room);
  const std::size_t past = reinterpret_cast<std::uintptr_t>(start) % kLargePage;
  const std::size_t before = past == 0 ? 0 : kLargePage - past;
  if (before > 0) munmap(start, before);
  if (room > before + used) munmap(start + before + used, room - before - used);
#ifdef MADV_HUGEPAGE
  // Whole pages only, so that no more is resident than was asked for. A refusal changes nothing.
  madvise(start + before, bytes / kLargePage * kLargePage, MADV_HUGEPAGE);
#endif
  return start + before;
}

void* map(std::size_t bytes) {
  return bytes >= 2 * kLargePage ? map_large_pages(bytes) : map_pages(bytes);
}

/// Where there is no more to have, what is kept goes back first.
void* map_or_give_back(std::size_t bytes) {
  try {
    return map(bytes);
  } catch (const std::bad_alloc&) {
    keep_freed_buffers(0);
    return map(bytes);
  }
}

}  // namespace

void* allocate_zeros(std::size_t bytes) {
  if (is_the_systems(bytes)) {
    void* data = KeptBuffers::instance().take(bytes);
    if (data != nullptr)
      std::memset(data, 0, bytes);
    else
      data = map_or_give_back(bytes);
    from_the_system += bytes;
    return data;
  }
  // Not aligned_alloc(): it wants sizes that are multiples of the alignment.
  void* data = nullptr;
  if (posix_memalign(&data, 128, bytes) != 0) throw std::bad_alloc();
  std::memset(data, 0, bytes);
  return data;
}

void free_zeros(void* data, std::size_t bytes) noexcept {
  if (!is_the_systems(bytes)) return std::free(data);
  from_the_system -= bytes;
  KeptBuffers::instance().keep_or_unmap({data, bytes});
}

std::size_t bytes_in_system_buffers() { return from_the_system; }

}  // namespace gramtile
