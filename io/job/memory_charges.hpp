// What a job holds besides blocks and tiles, taken from the engine's part of its memory.
#pragma once

#include <cstddef>
#include <string>

namespace gramtile {

class MemoryCharges {
 public:
  explicit MemoryCharges(std::size_t memory_bytes);

  /// The engine's part of `memory_bytes`, without what was charged.
  std::size_t engine_bytes() const;
  std::size_t charged_bytes() const { return charged_bytes_; }

  /// Whether `more_bytes` could be charged: all charges together take half of the engine's part at
  /// most.
  bool may_charge(std::size_t more_bytes) const;

  /// Takes `bytes` for `what` ("rows of rank 30000"). Throws Error(kUsage), naming the least memory
  /// that would do, when that is too much.
  void charge(std::size_t bytes, const std::string& what);

 private:
  std::size_t memory_bytes_, charged_bytes_ = 0;
};

}  // namespace gramtile
