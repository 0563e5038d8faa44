// The part of the zip format that .npz files use: the central directory, stored and deflated
// members, zip64. Layout: https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "io/data/byte_source.hpp"
#include "io/data/inflate.hpp"

namespace gramtile {

/// One entry of the central directory, checked against the size of the file.
struct ZipMember {
  std::string name;
  std::uint16_t method = 0;  ///< 0 stored, 8 deflated
  std::uint32_t crc = 0;
  std::uint64_t packed_bytes = 0;
  std::uint64_t size_bytes = 0;
  std::uint64_t header_offset = 0;  ///< of the local header
  std::uint64_t entry_offset = 0;   ///< of the central directory's entry, for messages
};

/// Reads the central directory, which must end where the file's last record begins. Throws
/// DataError: no zip, several disks, encryption, other methods, two members of one name, more than
/// 10,000 members, sizes that do not fit.
std::vector<ZipMember> read_zip_directory(const SharedBytes& bytes);

/// The contents of one member, its CRC checked. Deflated members of more than `in_memory_bytes` go
/// to a temporary file. `name` is what messages call it. Throws DataError.
SharedBytes open_zip_member(const SharedBytes& bytes, const ZipMember& member, std::string name,
                            std::uint64_t in_memory_bytes = kUnpackInMemoryBytes);

/// True when the bytes begin like a zip file.
bool is_zip(std::span<const std::byte> head);

}  // namespace gramtile
