// Hashes that end up in files: XXH3, 64 bit for tiles and records, 128 bit for inputs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "engine/core/ports.hpp"

namespace gramtile {

std::uint64_t hash64(std::span<const std::byte> bytes);

/// Collects bytes; `digest()` is their XXH3-128 as 32 hexadecimal digits.
class ContentHasher {
 public:
  ContentHasher();
  ~ContentHasher();
  ContentHasher(ContentHasher&&) noexcept;

  void add(std::span<const std::byte> bytes);
  void add(std::string_view text);
  std::string digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Hash of shape and pixels (as double) of a whole source, read in blocks of about 8 MiB. Throws
/// what the source throws.
std::string content_hash(BlockSource& source);

/// Hash of labels and their order.
std::string label_hash(std::span<const std::int64_t> labels);

}  // namespace gramtile
