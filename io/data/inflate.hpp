// Decompression that a hostile file cannot turn into a memory hole: a stream is unpacked to exactly
// the size that its contents declare, checked against what the compressed bytes can hold at all, in
// memory when that is small and otherwise in a temporary file that has no name.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "io/data/byte_source.hpp"

namespace gramtile {

enum class Compression {
  kGzip,     ///< RFC 1952, one member or several; CRC and length are checked
  kZlib,     ///< RFC 1950, as in .mat files; its checksum is checked
  kDeflate,  ///< RFC 1951, bare, as zip members are; the caller checks the CRC
};

/// Deflate's best: 258 bytes for two bits. What claims more was never written, or lies.
constexpr std::uint64_t kMaxDeflateRatio = 1032;

/// Reads a compressed source from its beginning to its end. Holds about 100 KB.
class InflateStream {
 public:
  InflateStream(SharedBytes input, Compression compression);
  ~InflateStream();
  InflateStream(const InflateStream&) = delete;
  InflateStream& operator=(const InflateStream&) = delete;

  /// Fills `out` and returns its size; fewer bytes only where the stream ends. Throws DataError:
  /// damaged or truncated data, a wrong checksum, anything behind the end.
  std::size_t read(std::span<std::byte> out);

  /// Compressed bytes taken so far; where messages say that something is wrong.
  std::uint64_t offset() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Contents of up to this size are unpacked in memory (MNIST's training images are 47 MB); larger
/// ones in $TMPDIR, or /var/tmp.
constexpr std::uint64_t kUnpackInMemoryBytes = std::uint64_t{64} << 20;

struct UnpackRequest {
  Compression compression = Compression::kGzip;
  std::uint64_t size = 0;            ///< what the contents declare [bytes]
  std::optional<std::uint32_t> crc;  ///< CRC-32 to check besides
  std::string name;                  ///< of the unpacked source, for messages
  std::uint64_t in_memory_bytes = kUnpackInMemoryBytes;
};

/// Unpacks the whole of `input`. Throws DataError when it does not hold exactly request.size bytes
/// (a size that `input` cannot hold is refused before anything is allocated), IoError when there is
/// no room for the temporary file.
SharedBytes unpack(const SharedBytes& input, const UnpackRequest& request);

}  // namespace gramtile
