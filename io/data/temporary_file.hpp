// A file without a name, for what does not fit in memory: gone with the process, however it ends.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "io/data/byte_source.hpp"

namespace gramtile {

class TemporaryFile {
 public:
  /// In $TMPDIR, or /var/tmp. Reserves `size` bytes at once where the file system can, so that a
  /// full disk shows here. Throws IoError.
  explicit TemporaryFile(std::uint64_t size);
  ~TemporaryFile();
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;

  void write(std::uint64_t offset, std::span<const std::byte> bytes);

  /// The finished file, readable. `name` is what messages call it.
  SharedBytes into_source(std::string name) &&;

 private:
  std::string folder_;
  std::uint64_t size_;
  int descriptor_;
};

}  // namespace gramtile
