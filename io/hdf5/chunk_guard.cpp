#include "io/hdf5/chunk_guard.hpp"

#include <zlib.h>

#include <optional>

#include "io/hdf5/handle.hpp"

namespace gramtile::hdf5 {
namespace {

// Deflate makes at most 1032 bytes of one: 264 MiB of these.
constexpr hsize_t kHarmlessBytes = hsize_t{256} << 10;

struct ChunkLayout {
  std::vector<hsize_t> extents;
  hsize_t size_bytes = 0;
  unsigned deflate_bit = 0;  // in a chunk's mask of skipped filters
};

int deflate_position(hid_t creation) {
  for (int i = 0; i < H5Pget_nfilters(creation); ++i) {
    unsigned flags = 0, config = 0;
    std::size_t num_values = 0;
    if (H5Pget_filter2(creation, static_cast<unsigned>(i), &flags, &num_values, nullptr, 0, nullptr,
                       &config) == H5Z_FILTER_DEFLATE) {
      return i;
    }
  }
  return -1;
}

// Empty unless the dataset is in deflated chunks. Their size was checked when it was opened.
std::optional<ChunkLayout> deflated_layout(hid_t dataset, std::size_t element_bytes,
                                           std::size_t rank) {
  const Handle creation(H5Dget_create_plist(dataset), H5Pclose);
  if (H5Pget_layout(creation.id()) != H5D_CHUNKED) return std::nullopt;
  const int position = deflate_position(creation.id());
  if (position < 0) return std::nullopt;
  ChunkLayout layout{.extents = std::vector<hsize_t>(rank),
                     .size_bytes = element_bytes,
                     .deflate_bit = 1u << position};
  H5Pget_chunk(creation.id(), static_cast<int>(rank), layout.extents.data());
  for (const hsize_t extent : layout.extents) layout.size_bytes *= extent;
  return layout;
}

// True when the zlib stream unpacks to more than `limit` bytes. Damaged streams count as far as
// they go: the library stops at the same byte.
bool unpacks_past(std::vector<unsigned char>& packed, hsize_t limit) {
  z_stream z{};
  if (::inflateInit(&z) != Z_OK) return true;
  std::vector<unsigned char> discarded(std::size_t{1} << 18);
  z.next_in = packed.data();
  z.avail_in = static_cast<uInt>(packed.size());
  int code = Z_OK;
  while (code == Z_OK && z.total_out <= limit) {
    z.next_out = discarded.data();
    z.avail_out = static_cast<uInt>(discarded.size());
    code = ::inflate(&z, Z_NO_FLUSH);
  }
  const bool past = z.total_out > limit;
  ::inflateEnd(&z);
  return past;
}

std::string problem_of_chunk(hid_t dataset, const ChunkLayout& layout,
                             const std::vector<hsize_t>& offset) {
  hsize_t stored = 0;
  if (H5Dget_chunk_storage_size(dataset, offset.data(), &stored) < 0) return "cannot be read";
  if (stored <= kHarmlessBytes) return "";
  // What does not shrink grows by a few bytes per 16 KiB; a checksum takes 4.
  const hsize_t limit = layout.size_bytes + 4096;
  if (stored > limit + limit / 1000) {
    return "expected a chunk of at most " + std::to_string(limit) + " bytes, found " +
           std::to_string(stored);
  }
  std::vector<unsigned char> packed(stored);
  unsigned skipped_filters = 0;
  if (H5Dread_chunk(dataset, H5P_DEFAULT, offset.data(), &skipped_filters, packed.data()) < 0) {
    return "cannot be read";
  }
  if ((skipped_filters & layout.deflate_bit) != 0 || !unpacks_past(packed, limit)) return "";
  return "expected a chunk of " + std::to_string(layout.size_bytes) +
         " bytes, found one that unpacks to more";
}

}  // namespace

std::string filter_problem(hid_t creation) {
  int num_deflate = 0;
  for (int i = 0; i < H5Pget_nfilters(creation); ++i) {
    unsigned flags = 0, config = 0;
    std::size_t num_values = 0;
    const H5Z_filter_t filter = H5Pget_filter2(creation, static_cast<unsigned>(i), &flags,
                                               &num_values, nullptr, 0, nullptr, &config);
    if (filter == H5Z_FILTER_DEFLATE) ++num_deflate;
    if (filter != H5Z_FILTER_DEFLATE && filter != H5Z_FILTER_SHUFFLE &&
        filter != H5Z_FILTER_FLETCHER32) {
      return "is compressed with filter " + std::to_string(filter) +
             ", which is refused; store it uncompressed or with gzip";
    }
  }
  return num_deflate > 1 ? "is compressed twice, which is refused" : "";
}

std::string chunk_problem(hid_t dataset, std::size_t element_bytes, std::span<const Range> ranges) {
  const auto layout = deflated_layout(dataset, element_bytes, ranges.size());
  if (!layout) return "";
  const auto first_of = [&](std::size_t axis) {
    const auto start = static_cast<hsize_t>(ranges[axis].start);
    return start - start % layout->extents[axis];
  };
  std::vector<hsize_t> offset(ranges.size());
  for (std::size_t axis = 0; axis < ranges.size(); ++axis) offset[axis] = first_of(axis);
  for (;;) {  // all chunks, the last axis fastest
    std::string problem = problem_of_chunk(dataset, *layout, offset);
    if (!problem.empty()) return problem;
    std::size_t axis = ranges.size();
    for (; axis > 0; --axis) {
      offset[axis - 1] += layout->extents[axis - 1];
      if (offset[axis - 1] < static_cast<hsize_t>(ranges[axis - 1].stop)) break;
      offset[axis - 1] = first_of(axis - 1);
    }
    if (axis == 0) return "";
  }
}

}  // namespace gramtile::hdf5
