// Memory from the system that was given back, and waits for the next one who asks for as much.
#pragma once

#include <atomic>
#include <cstddef>
#include <mutex>
#include <vector>

namespace gramtile {

/// From now on up to `most` bytes that are given back to free_zeros() (aligned_buffer.hpp) are
/// kept for the next one who asks for as many, instead of going back to the system: for a process
/// of many short, equal calls, where getting pages anew took a fifth of the time. 0 keeps none, as
/// at the start, and gives back what is kept; so does a system that has no more. Thread-safe.
void keep_freed_buffers(std::size_t most);

/// What allocate_zeros() and free_zeros() see of it: at most 64 mappings, the oldest the first to
/// go. Thread-safe, also across fork(). Pages go back to the system without the lock, which others
/// wait for.
class KeptBuffers {
 public:
  struct Buffer {
    void* data = nullptr;
    std::size_t bytes = 0;
  };

  /// The one of this process.
  static KeptBuffers& instance();

  /// From now on; what is more goes back to the system.
  void keep_at_most(std::size_t bytes);

  /// One of exactly so many bytes, whatever they are; nullptr when there is none.
  void* take(std::size_t bytes);

  /// For take(), or back to the system.
  void keep_or_unmap(Buffer buffer) noexcept;

 private:
  static constexpr std::size_t kMostBuffers = 64;

  KeptBuffers();
  bool has_room(std::size_t bytes, std::size_t count) const;
  void make_room(std::size_t bytes, std::size_t count) noexcept;

  std::mutex mutex_;
  std::atomic<std::size_t> most_ = 0;
  std::size_t bytes_ = 0;
  std::vector<Buffer> buffers_;
};

}  // namespace gramtile
