#include "io/data/idx.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "io/data/bad_data.hpp"

namespace gramtile {
namespace {

constexpr std::size_t kMaxIdxRank = 4;
constexpr std::size_t kMaxIdxHeaderBytes = 4 + 4 * kMaxIdxRank;

ElementType element_type(const std::string& name, std::byte code) {
  switch (std::to_integer<unsigned>(code)) {
    case 0x08:
      return {.kind = 'u', .size = 1};
    case 0x09:
      return {.kind = 'i', .size = 1};
    case 0x0b:
      return {.kind = 'i', .size = 2, .big_endian = true};
    case 0x0c:
      return {.kind = 'i', .size = 4, .big_endian = true};
    case 0x0d:
      return {.kind = 'f', .size = 4, .big_endian = true};
    case 0x0e:
      return {.kind = 'f', .size = 8, .big_endian = true};
    default:
      break;
  }
  refuse_data(name, 2, "an IDX type code of 08, 09, 0b, 0c, 0d or 0e", hex(std::array{code}));
}

struct Header {
  ElementType type;
  std::vector<std::uint64_t> shape;
  std::uint64_t size_bytes = 0;
};

// `head` holds the first kMaxIdxHeaderBytes of the contents, or all of them when there are fewer.
Header parse_header(const std::string& name, std::span<const std::byte> head) {
  if (head.size() < 4 || head[0] != std::byte{0} || head[1] != std::byte{0}) {
    refuse_data(name, 0, "an IDX magic number such as 00 00 08 03",
                hex(head.first(std::min<std::size_t>(head.size(), 4))));
  }
  Header header{.type = element_type(name, head[2]), .shape = {}, .size_bytes = 0};
  const auto rank = std::to_integer<std::size_t>(head[3]);
  if (rank < 1 || rank > kMaxIdxRank)
    refuse_data(name, 3, "a rank of 1 to 4", std::to_string(rank));
  header.size_bytes = 4 + 4 * rank;
  if (head.size() < header.size_bytes) {
    refuse_data(name, head.size(), fmt::format("a header of {} bytes", header.size_bytes),
                "the end: the file is truncated");
  }
  for (std::size_t at = 4; at < header.size_bytes; at += 4) {
    std::uint64_t extent = 0;
    for (const std::byte b : head.subspan(at, 4)) {
      extent = extent << 8 | std::to_integer<std::uint64_t>(b);
    }
    header.shape.push_back(extent);
  }
  return header;
}

RawArray array_of(SharedBytes bytes, Header header) {
  RawArray array{.bytes = std::move(bytes),
                 .offset = header.size_bytes,
                 .type = header.type,
                 .shape = std::move(header.shape),
                 .shape_offset = 4};
  check_extent(array);
  return array;
}

}  // namespace

RawArray parse_idx(SharedBytes bytes) {
  Header header = parse_header(bytes->name(), read_head(*bytes, kMaxIdxHeaderBytes));
  return array_of(std::move(bytes), std::move(header));
}

RawArray parse_idx_gzip(const SharedBytes& bytes, std::uint64_t in_memory_bytes) {
  // A gzip file does not tell its size: unpack the header, which does, then all of it.
  std::vector<std::byte> head(kMaxIdxHeaderBytes);
  head.resize(InflateStream(bytes, Compression::kGzip).read(head));
  Header header = parse_header(bytes->name(), head);
  const auto array_bytes = checked_size(header.shape, static_cast<std::uint64_t>(header.type.size));
  if (!array_bytes) {
    refuse_data(bytes->name(), 4, "a shape of less than 2^63 bytes", shape_text(header.shape));
  }
  SharedBytes contents = unpack(bytes, {.compression = Compression::kGzip,
                                        .size = header.size_bytes + *array_bytes,
                                        .crc = {},
                                        .name = bytes->name(),
                                        .in_memory_bytes = in_memory_bytes});
  return array_of(std::move(contents), std::move(header));
}

bool is_gzip(std::span<const std::byte> head) {
  return head.size() >= 2 && head[0] == std::byte{0x1f} && head[1] == std::byte{0x8b};
}

}  // namespace gramtile
