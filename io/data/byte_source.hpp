// Where a reader's bytes come from: a file, memory (tests, fuzzers), or a section of either.
// Readers see a name for messages, a size, and random access; nothing is mapped, so a file that
// shrinks while it is read is an error and not a signal.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace gramtile {

class ByteSource {
 public:
  virtual ~ByteSource() = default;

  /// As messages name it: the path, or "PATH:/member.npy".
  virtual const std::string& name() const = 0;
  virtual std::uint64_t size() const = 0;

  /// Fills `out` from `offset`. Throws DataError when the source ends before, IoError when the
  /// system refuses.
  virtual void read(std::uint64_t offset, std::span<std::byte> out) const = 0;
};

/// Sources are shared: members of an archive look at the same file.
using SharedBytes = std::shared_ptr<const ByteSource>;

/// Opens a regular file. Throws IoError; DataError when it is no regular file.
SharedBytes open_file(const std::string& path);

/// Takes over an open, readable file descriptor of `size` bytes.
SharedBytes adopt_file(int descriptor, std::uint64_t size, std::string name);

SharedBytes from_memory(std::vector<std::byte> bytes, std::string name);

/// `size` bytes of `whole` from `offset`, which must lie within it.
SharedBytes section_of(SharedBytes whole, std::uint64_t offset, std::uint64_t size,
                       std::string name);

/// Up to `max_size` bytes from the beginning.
std::vector<std::byte> read_head(const ByteSource& source, std::size_t max_size);

}  // namespace gramtile
