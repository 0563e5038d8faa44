// Hashes that end up in files: XXH3, 64 bit for tiles and records, 128 bit for inputs.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>

#include "engine/core/ports.hpp"

namespace gramtile {

std::uint64_t hash64(std::span<const std::byte> bytes);

/// The same of bytes that come piece by piece.
class Hasher64 {
 public:
  Hasher64();
  ~Hasher64();
  Hasher64(const Hasher64&) = delete;
  Hasher64& operator=(const Hasher64&) = delete;

  void add(std::span<const std::byte> bytes);
  std::uint64_t value() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

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

/// What reading a whole source once tells.
struct SourceContents {
  std::string hash;         ///< of shape and pixels (as double)
  bool nonnegative = true;  ///< no pixel is negative
};

/// Reads in blocks of about 8 MiB. Throws what the source throws, and Error(kInterrupted) between
/// two blocks when `abandon` is requested.
SourceContents read_contents(BlockSource& source, const std::stop_token& abandon = {});

/// Hash of labels and their order.
std::string label_hash(std::span<const std::int64_t> labels);

}  // namespace gramtile
