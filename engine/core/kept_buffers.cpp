#include "engine/core/kept_buffers.hpp"

#include <pthread.h>
#include <sys/mman.h>

#include <iterator>

namespace gramtile {

/// A child whose parent's other thread held the lock at the fork would wait for it for ever.
KeptBuffers::KeptBuffers() {
  buffers_.reserve(kMostBuffers);
  pthread_atfork([] { instance().mutex_.lock(); }, [] { instance().mutex_.unlock(); },
                 [] { instance().mutex_.unlock(); });
}

KeptBuffers& KeptBuffers::instance() {
  static auto* buffers = new KeptBuffers;  // never destroyed: buffers may be freed after main()
  return *buffers;
}

void KeptBuffers::keep_at_most(std::size_t bytes) {
  most_ = bytes;
  make_room(0, 0);
}

void* KeptBuffers::take(std::size_t bytes) {
  if (most_ == 0) return nullptr;
  const std::lock_guard lock(mutex_);
  for (auto kept = buffers_.rbegin(); kept != buffers_.rend(); ++kept) {
    if (kept->bytes != bytes) continue;
    void* const data = kept->data;
    buffers_.erase(std::next(kept).base());
    bytes_ -= bytes;
    return data;
  }
  return nullptr;
}

void KeptBuffers::keep_or_unmap(Buffer buffer) noexcept {
  if (buffer.bytes <= most_) {
    make_room(buffer.bytes, 1);
    const std::lock_guard lock(mutex_);
    if (has_room(buffer.bytes, 1)) {
      buffers_.push_back(buffer);  // does not allocate
      bytes_ += buffer.bytes;
      return;
    }
  }
  munmap(buffer.data, buffer.bytes);
}

bool KeptBuffers::has_room(std::size_t bytes, std::size_t count) const {
  return bytes_ + bytes <= most_ && buffers_.size() + count <= kMostBuffers;
}

void KeptBuffers::make_room(std::size_t bytes, std::size_t count) noexcept {
  for (;;) {
    Buffer oldest;
    {
      const std::lock_guard lock(mutex_);
      if (buffers_.empty() || has_room(bytes, count)) return;
      oldest = buffers_.front();
      buffers_.erase(buffers_.begin());
      bytes_ -= oldest.bytes;
    }
    munmap(oldest.data, oldest.bytes);
  }
}

void keep_freed_buffers(std::size_t most) { KeptBuffers::instance().keep_at_most(most); }

}  // namespace gramtile
