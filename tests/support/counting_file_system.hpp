// A file system that counts the bytes that are read and written through it.
#pragma once

#include <atomic>

#include "engine/core/index.hpp"
#include "tests/support/forwarding_file_system.hpp"

namespace gramtile::test {

class CountingFileSystem final : public ForwardingFileSystem {
 public:
  std::int64_t pwrite(int file, std::span<const std::byte> bytes, std::uint64_t offset) override {
    written += static_cast<Index>(bytes.size());
    return ForwardingFileSystem::pwrite(file, bytes, offset);
  }
  std::int64_t pread(int file, std::span<std::byte> bytes, std::uint64_t offset) override {
    read += static_cast<Index>(bytes.size());
    return ForwardingFileSystem::pread(file, bytes, offset);
  }
  std::atomic<Index> read = 0, written = 0;
};

}  // namespace gramtile::test
