#include "io/data/zip.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <optional>
#include <set>
#include <utility>

#include "io/data/bad_data.hpp"

namespace gramtile {
namespace {

constexpr std::uint64_t kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20;
constexpr std::uint64_t kEntryBytes = 46, kLocalBytes = 30;
constexpr std::uint64_t kMaxDirectoryBytes = std::uint64_t{16} << 20;
constexpr std::uint64_t kMaxMembers = 10'000;

constexpr std::uint32_t kEndMagic = 0x06054b50, kEnd64Magic = 0x06064b50;
constexpr std::uint32_t kLocatorMagic = 0x07064b50;
constexpr std::uint32_t kEntryMagic = 0x02014b50, kLocalMagic = 0x04034b50;

// A record in memory: little-endian fields by their place in it.
class Record {
 public:
  Record(std::vector<std::byte> bytes, std::uint64_t offset)
      : bytes_(std::move(bytes)), offset_(offset) {}

  std::uint64_t field(std::size_t at, std::size_t size) const {
    std::uint64_t value = 0;
    for (std::size_t i = size; i-- > 0;) {
      value = value << 8 | std::to_integer<std::uint64_t>(bytes_.at(at + i));
    }
    return value;
  }
  std::uint16_t u16(std::size_t at) const { return static_cast<std::uint16_t>(field(at, 2)); }
  std::uint32_t u32(std::size_t at) const { return static_cast<std::uint32_t>(field(at, 4)); }
  std::uint64_t u64(std::size_t at) const { return field(at, 8); }

  std::string text(std::size_t at, std::size_t size) const {
    std::string out;
    for (std::size_t i = at; i < at + size; ++i) out += std::to_integer<char>(bytes_.at(i));
    return out;
  }
  std::uint64_t offset() const { return offset_; }
  std::size_t size() const { return bytes_.size(); }

 private:
  std::vector<std::byte> bytes_;
  std::uint64_t offset_;
};

Record read_record(const ByteSource& bytes, std::uint64_t offset, std::uint64_t size) {
  std::vector<std::byte> record(static_cast<std::size_t>(size));
  bytes.read(offset, record);
  return {std::move(record), offset};
}

void check(bool holds, const ByteSource& bytes, std::uint64_t offset, const std::string& expected,
           std::uint64_t found) {
  if (!holds) refuse_data(bytes.name(), offset, expected, std::to_string(found));
}

void check_magic(const ByteSource& bytes, const Record& record, std::size_t at, const char* what,
                 std::uint32_t magic) {
  const std::uint32_t found = record.u32(at);
  if (found == magic) return;
  refuse_data(bytes.name(), record.offset() + at, fmt::format("{} ({:08x})", what, magic),
              fmt::format("{:08x}", found));
}

struct Directory {
  std::uint64_t num_members = 0, size_bytes = 0, offset = 0;
  std::uint64_t end = 0;  // where the records behind the directory begin
};

// Offset of the record that ends the file; its comment must reach to the last byte.
std::uint64_t find_end(const ByteSource& bytes) {
  const std::uint64_t tail = std::min<std::uint64_t>(bytes.size(), kEndBytes + 0xffff);
  if (tail >= kEndBytes) {
    const Record record = read_record(bytes, bytes.size() - tail, tail);
    for (std::size_t at = static_cast<std::size_t>(tail - kEndBytes) + 1; at-- > 0;) {
      if (record.u32(at) == kEndMagic && at + kEndBytes + record.u16(at + 20) == tail) {
        return record.offset() + at;
      }
    }
  }
  refuse_data(bytes.name(), bytes.size(), "zip's end of central directory as the last record",
              "none: the file is truncated, or something follows");
}

// The zip64 record, when there is one in front of the end record.
std::optional<Directory> read_end64(const ByteSource& bytes, std::uint64_t end) {
  if (end < kLocatorBytes) return std::nullopt;
  const Record locator = read_record(bytes, end - kLocatorBytes, kLocatorBytes);
  if (locator.u32(0) != kLocatorMagic) return std::nullopt;
  const std::uint64_t offset = locator.u64(8);
  check(end >= kLocatorBytes + kEnd64Bytes && offset == end - kLocatorBytes - kEnd64Bytes, bytes,
        locator.offset() + 8, "the offset of the zip64 record right in front", offset);
  const Record record = read_record(bytes, offset, kEnd64Bytes);
  check_magic(bytes, record, 0, "zip64's end of central directory", kEnd64Magic);
  check(record.u32(16) == 0 && record.u32(20) == 0 && record.u64(24) == record.u64(32), bytes,
        offset + 16, "a zip file on one disk", record.u32(16));
  return Directory{.num_members = record.u64(32),
                   .size_bytes = record.u64(40),
                   .offset = record.u64(48),
                   .end = offset};
}

Directory read_end(const ByteSource& bytes) {
  const std::uint64_t end = find_end(bytes);
  if (const auto directory = read_end64(bytes, end)) return *directory;
  const Record record = read_record(bytes, end, kEndBytes);
  check(record.u16(4) == 0 && record.u16(6) == 0 && record.u16(8) == record.u16(10), bytes, end + 4,
        "a zip file on one disk", record.u16(4));
  return {.num_members = record.u16(10),
          .size_bytes = record.u32(12),
          .offset = record.u32(16),
          .end = end};
}

// Sizes and offset that did not fit 32 bits stand in the extra field 0001, in this order.
void read_extra64(const ByteSource& bytes, const Record& record, std::size_t begin, std::size_t end,
                  ZipMember& member) {
  const bool wanted = member.size_bytes == 0xffffffff || member.packed_bytes == 0xffffffff ||
                      member.header_offset == 0xffffffff;
  if (!wanted) return;
  for (std::size_t at = begin; at + 4 <= end;) {
    const std::size_t size = record.u16(at + 2);
    if (record.u16(at) != 1) {
      at += 4 + size;
      continue;
    }
    const std::size_t stop = std::min(end, at + 4 + size);
    at += 4;
    for (std::uint64_t* value : {&member.size_bytes, &member.packed_bytes, &member.header_offset}) {
      if (*value != 0xffffffff) continue;
      check(at + 8 <= stop, bytes, record.offset() + at, "8 bytes of zip64 size", stop - at);
      *value = record.u64(at);
      at += 8;
    }
    return;
  }
  check(false, bytes, member.entry_offset, "a zip64 extra field behind a size of 0xffffffff", 0);
}

void check_member(const ByteSource& bytes, const ZipMember& member, std::uint16_t flags,
                  const Directory& directory) {
  const std::uint64_t at = member.entry_offset;
  check((flags & 1) == 0, bytes, at + 8, "a member without encryption", flags);
  check(member.method == 0 || member.method == 8, bytes, at + 10,
        "method 0 (stored) or 8 (deflated)", member.method);
  check(member.packed_bytes <= directory.offset, bytes, at + 20,
        fmt::format("at most {} compressed bytes", directory.offset), member.packed_bytes);
  check(member.method != 0 || member.packed_bytes == member.size_bytes, bytes, at + 24,
        fmt::format("{} bytes, as many as stored", member.packed_bytes), member.size_bytes);
  check(member.header_offset < directory.offset, bytes, at + 42,
        fmt::format("a local header in front of the directory at {}", directory.offset),
        member.header_offset);
}

// One entry at `at` of the directory in memory; moves `at` behind it.
ZipMember read_entry(const ByteSource& bytes, const Record& entries, const Directory& directory,
                     std::size_t& at) {
  check(at + kEntryBytes <= entries.size(), bytes, directory.offset + at,
        "46 bytes of directory entry", entries.size() - at);
  check_magic(bytes, entries, at, "a directory entry", kEntryMagic);
  const std::size_t name_size = entries.u16(at + 28);
  const std::size_t extra_begin = at + kEntryBytes + name_size;
  const std::size_t extra_end = extra_begin + entries.u16(at + 30);
  const std::size_t end = extra_end + entries.u16(at + 32);
  check(end <= entries.size(), bytes, directory.offset + at + 28,
        fmt::format("a directory entry within {} bytes", entries.size() - at), end - at);
  ZipMember member{.name = entries.text(at + kEntryBytes, name_size),
                   .method = entries.u16(at + 10),
                   .crc = entries.u32(at + 16),
                   .packed_bytes = entries.u32(at + 20),
                   .size_bytes = entries.u32(at + 24),
                   .header_offset = entries.u32(at + 42),
                   .entry_offset = directory.offset + at};
  read_extra64(bytes, entries, extra_begin, extra_end, member);
  check_member(bytes, member, entries.u16(at + 8), directory);
  at = end;
  return member;
}

void check_stored_crc(const ByteSource& contents, const ZipMember& member) {
  std::vector<std::byte> piece(std::size_t{1} << 18);
  uLong crc = ::crc32(0, nullptr, 0);
  for (std::uint64_t at = 0; at < contents.size(); at += piece.size()) {
    const auto size =
        static_cast<std::size_t>(std::min<std::uint64_t>(piece.size(), contents.size() - at));
    contents.read(at, std::span(piece).first(size));
    crc = ::crc32(crc, reinterpret_cast<const Bytef*>(piece.data()), static_cast<uInt>(size));
  }
  if (crc != member.crc) {
    refuse_data(contents.name(), 0, fmt::format("CRC-32 {:08x}", member.crc),
                fmt::format("{:08x}", crc));
  }
}

}  // namespace

std::vector<ZipMember> read_zip_directory(const SharedBytes& bytes) {
  const Directory directory = read_end(*bytes);
  check(
      directory.offset <= directory.end && directory.size_bytes == directory.end - directory.offset,
      *bytes, directory.end, fmt::format("a directory from {} up to here", directory.offset),
      directory.size_bytes);
  check(directory.size_bytes <= kMaxDirectoryBytes, *bytes, directory.end,
        "a directory of at most 16 MiB", directory.size_bytes);
  check(directory.num_members <= kMaxMembers, *bytes, directory.end, "at most 10000 members",
        directory.num_members);
  const Record entries = read_record(*bytes, directory.offset, directory.size_bytes);
  std::vector<ZipMember> members;
  std::set<std::string> names;
  std::size_t at = 0;
  while (members.size() < directory.num_members) {
    members.push_back(read_entry(*bytes, entries, directory, at));
    if (!names.insert(members.back().name).second) {
      refuse_data(bytes->name(), members.back().entry_offset, "each member once",
                  fmt::format("'{}' again", printable(members.back().name)));
    }
  }
  check(at == entries.size(), *bytes, directory.offset + at,
        fmt::format("the end of the directory behind {} members", members.size()),
        entries.size() - at);
  return members;
}

SharedBytes open_zip_member(const SharedBytes& bytes, const ZipMember& member, std::string name,
                            std::uint64_t in_memory_bytes) {
  const Record local = read_record(*bytes, member.header_offset, kLocalBytes);
  check_magic(*bytes, local, 0, "a local header", kLocalMagic);
  check(local.u16(8) == member.method, *bytes, member.header_offset + 8,
        fmt::format("method {} as in the directory", member.method), local.u16(8));
  const std::uint64_t begin = member.header_offset + kLocalBytes + local.u16(26) + local.u16(28);
  SharedBytes packed = section_of(bytes, begin, member.packed_bytes, name);
  if (member.method == 0) {
    check_stored_crc(*packed, member);
    return packed;
  }
  return unpack(packed, {.compression = Compression::kDeflate,
                         .size = member.size_bytes,
                         .crc = member.crc,
                         .name = std::move(name),
                         .in_memory_bytes = in_memory_bytes});
}

bool is_zip(std::span<const std::byte> head) {
  return head.size() >= 4 && head[0] == std::byte{'P'} && head[1] == std::byte{'K'} &&
         ((head[2] == std::byte{3} && head[3] == std::byte{4}) ||
          (head[2] == std::byte{5} && head[3] == std::byte{6}));
}

}  // namespace gramtile
