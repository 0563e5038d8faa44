// Zero-initialised memory, aligned for every instruction set.
#pragma once

#include <cstddef>
#include <new>
#include <utility>

namespace gramtile {

/// `bytes` zeros, a multiple of 128, at an address that is one; for free_zeros(). From 1 MiB on
/// from the system itself: what malloc() is given back it may keep, and in a process that is not
/// ours that was a third more than a run holds at once. From 4 MiB on in large pages where the
/// system has them: a tenth of the page faults' time, and fewer misses of the address translation.
/// Throws std::bad_alloc.
void* allocate_zeros(std::size_t bytes);

/// Gives back what allocate_zeros(bytes) gave.
void free_zeros(void* data, std::size_t bytes) noexcept;

/// What allocate_zeros() has given away of the system's memory [bytes]: malloc() does not know of
/// it. What is kept for the next one (kept_buffers.hpp) is not counted.
std::size_t bytes_in_system_buffers();

/// An owning array of trivially copyable T, aligned to 128 bytes. Moves, does not copy.
template <class T>
class AlignedBuffer {
 public:
  static constexpr std::size_t kAlignment = 128;

  AlignedBuffer() = default;
  /// All bytes zero. Throws std::bad_alloc.
  explicit AlignedBuffer(std::size_t size) : size_(size) {
    if (size == 0) return;
    if (size > (std::size_t{1} << 62) / sizeof(T)) throw std::bad_alloc();
    data_ = static_cast<T*>(allocate_zeros(bytes()));
  }
  AlignedBuffer(AlignedBuffer&& other) noexcept { swap(other); }
  AlignedBuffer& operator=(AlignedBuffer&& other) noexcept {
    swap(other);
    return *this;
  }
  ~AlignedBuffer() {
    if (data_ != nullptr) free_zeros(data_, bytes());
  }

  T* data() { return data_; }
  const T* data() const { return data_; }
  std::size_t size() const { return size_; }
  T& operator[](std::size_t i) { return data_[i]; }
  const T& operator[](std::size_t i) const { return data_[i]; }

 private:
  std::size_t bytes() const {
    return (size_ * sizeof(T) + kAlignment - 1) / kAlignment * kAlignment;
  }
  void swap(AlignedBuffer& other) noexcept {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }

  T* data_ = nullptr;
  std::size_t size_ = 0;
};

}  // namespace gramtile
