// IDX, plain and gzip: what is read, and what is refused.
#include <doctest/doctest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "engine/core/errors.hpp"
#include "io/data/idx.hpp"
#include "tests/support/data_files.hpp"

namespace gramtile::data_idx_test {
namespace {

using namespace test;

// Two images of 2 × 3.
const Bytes kPixels = ramp(12);
const Bytes kGood = make_idx(0x08, {2, 2, 3}, kPixels);
constexpr std::size_t kHeaderBytes = 4 + 3 * 4;

std::vector<double> pixels_of(RawArray array, Range images) {
  const auto reader = open_raw_images(std::move(array), std::nullopt);
  std::vector<double> pixels(
      static_cast<std::size_t>(images.size() * reader->shape().num_values()));
  reader->read(images, pixels);
  return pixels;
}

std::string refused(const Bytes& bytes) {
  const std::string message =
      refusal([&] { open_raw_images(parse_idx(in_memory(bytes)), std::nullopt); });
  CAPTURE(message);
  CHECK(message.starts_with("test.bin: offset "));
  CHECK(message.find("expected ") != std::string::npos);
  CHECK(message.find(", found ") != std::string::npos);
  return message;
}

TEST_CASE("IDX bytes are pixels divided by 255") {
  CHECK(pixels_of(parse_idx(in_memory(kGood)), {1, 2}) ==
        std::vector<double>{6 / 255., 7 / 255., 8 / 255., 9 / 255., 10 / 255., 11 / 255.});
}

TEST_CASE("IDX of rank 4 has channels") {
  const auto reader =
      open_raw_images(parse_idx(in_memory(make_idx(8, {1, 2, 2, 3}, ramp(12)))), std::nullopt);
  CHECK(reader->shape() == ImageShape{2, 2, 3});
}

TEST_CASE("IDX floats are big-endian and taken as they are") {
  const Bytes floats = joined({big(0x3fc00000, 4), big(0xc0200000, 4)});  // 1.5, −2.5
  CHECK(pixels_of(parse_idx(in_memory(make_idx(0x0d, {1, 1, 2}, floats))), {0, 1}) ==
        std::vector<double>{1.5, -2.5});
  const Bytes doubles = joined({big(0x3ff8000000000000, 8), big(0xc004000000000000, 8)});
  CHECK(pixels_of(parse_idx(in_memory(make_idx(0x0e, {1, 1, 2}, doubles))), {0, 1}) ==
        std::vector<double>{1.5, -2.5});
}

TEST_CASE("IDX in gzip is the same as IDX") {
  CHECK(pixels_of(parse_idx_gzip(in_memory(gzipped(kGood))), {0, 2}) ==
        pixels_of(parse_idx(in_memory(kGood)), {0, 2}));
}

TEST_CASE("a gzip file of several members is one stream") {
  const Bytes two = joined({gzipped(cut(kGood, 9)), gzipped({kGood.begin() + 9, kGood.end()})});
  CHECK(pixels_of(parse_idx_gzip(in_memory(two)), {0, 2}) ==
        pixels_of(parse_idx(in_memory(kGood)), {0, 2}));
}

TEST_CASE("gzip contents past the memory limit are read from a temporary file") {
  CHECK(pixels_of(parse_idx_gzip(in_memory(gzipped(kGood)), 0), {1, 2}) ==
        pixels_of(parse_idx(in_memory(kGood)), {1, 2}));
}

TEST_CASE("a temporary file that cannot be made is an I/O error with its folder") {
  const char* const before = std::getenv("TMPDIR");
  const std::string kept = before == nullptr ? "" : before;
  ::setenv("TMPDIR", "/no/such/folder", 1);
  try {
    parse_idx_gzip(in_memory(gzipped(kGood)), 0);
    FAIL_CHECK("unpacked");
  } catch (const IoError& error) {
    CHECK(mentions(error.what(), "/no/such/folder"));
  }
  before == nullptr ? ::unsetenv("TMPDIR") : ::setenv("TMPDIR", kept.c_str(), 1);
}

TEST_CASE("IDX truncated at any byte is refused") {
  for (std::size_t size = 0; size < kGood.size(); ++size) {
    CAPTURE(size);
    const std::string message = refused(cut(kGood, size));
    if (size >= kHeaderBytes) CHECK(mentions(message, "12 bytes"));
  }
}

TEST_CASE("gzip truncated at any byte is refused") {
  const Bytes packed = gzipped(kGood);
  for (std::size_t size = 0; size < packed.size(); ++size) {
    CAPTURE(size);
    refusal([&] { parse_idx_gzip(in_memory(cut(packed, size))); });
  }
}

TEST_CASE("IDX with another magic is refused") {
  for (const std::size_t at : {std::size_t{0}, std::size_t{1}}) {
    Bytes bytes = kGood;
    bytes[at] = std::byte{1};
    CHECK(mentions(refused(bytes), "offset 0"));
  }
  Bytes bytes = kGood;
  bytes[2] = std::byte{0x0a};
  CHECK(mentions(refused(bytes), "found 0a"));
  for (const int rank : {0, 5, 255}) {
    bytes = kGood;
    bytes[3] = static_cast<std::byte>(rank);
    CHECK(mentions(refused(bytes), "rank of 1 to 4"));
  }
}

TEST_CASE("IDX with little-endian extents is refused with what they look like") {
  const Bytes swapped =
      joined({bytes_of({0, 0, 8, 3}), little(2, 4), little(2, 4), little(3, 4), kPixels});
  CHECK(mentions(refused(swapped), "[33554432, 33554432, 50331648]"));
}

TEST_CASE("IDX extents of 0, 2^31 and 2^32 - 1 are refused on every axis") {
  for (const std::uint32_t extent : {0u, 0x80000000u, 0xffffffffu}) {
    for (std::size_t axis = 0; axis < 3; ++axis) {
      std::vector<std::uint32_t> shape{2, 2, 3};
      shape[axis] = extent;
      CAPTURE(extent);
      CAPTURE(axis);
      refused(make_idx(8, shape, kPixels));
      refused(make_idx(8, shape, extent == 0 ? Bytes{} : kPixels));
    }
  }
}

TEST_CASE("IDX extents whose product overflows are refused as such") {
  // 2^16 each: the product is 2^64, 0 when it wraps around.
  CHECK(mentions(refused(make_idx(8, {65536, 65536, 65536, 65536}, {})), "2^63"));
  CHECK(mentions(refused(make_idx(14, {0x80000000u, 0x40000000u, 1, 1}, {})), "2^63"));
  CHECK(mentions(refused(make_idx(8, {65536, 65536, 65536, 65536}, kPixels)), "2^63"));
  refusal([] {
    parse_idx_gzip(in_memory(gzipped(make_idx(8, {65536, 65536, 65536, 65536}, {}))));
  });
}

TEST_CASE("bytes behind the last IDX element are refused") {
  CHECK(mentions(refused(joined({kGood, bytes_of({0})})), "bytes follow"));
  refusal([] { parse_idx_gzip(in_memory(gzipped(joined({kGood, bytes_of({0})})))); });
}

TEST_CASE("bytes behind a gzip stream are refused") {
  CHECK(mentions(refusal([] {
                   parse_idx_gzip(in_memory(joined({gzipped(kGood), bytes_of("garbage")})));
                 }),
                 "valid compressed data"));
}

TEST_CASE("a gzip file with a flipped bit anywhere is refused or unchanged") {
  const Bytes packed = gzipped(kGood);
  const std::vector<double> good = pixels_of(parse_idx(in_memory(kGood)), {0, 2});
  int num_refused = 0;
  for (std::size_t at = 0; at < packed.size(); ++at) {
    Bytes bytes = packed;
    bytes[at] ^= std::byte{0x10};
    std::vector<double> pixels;
    try {
      pixels = pixels_of(parse_idx_gzip(in_memory(bytes)), {0, 2});
    } catch (const DataError&) {
      ++num_refused;
      continue;
    }
    CHECK(pixels == good);
  }
  // Flag, time and system bytes may change; magic, method, contents, CRC and length may not.
  CHECK(num_refused >= static_cast<int>(packed.size()) - 8);
}

TEST_CASE("integers and ranks that are no images are refused by type and shape") {
  CHECK(mentions(refused(make_idx(0x0c, {1, 1, 1}, ramp(4))), "int32"));
  CHECK(mentions(refused(make_idx(0x09, {1, 1, 1}, ramp(1))), "int8"));
  CHECK(mentions(refused(make_idx(0x08, {4}, ramp(4))), "[4]"));
}

TEST_CASE("a gzip bomb behind a small header is refused in little memory") {
  const Bytes bomb = gzipped_zeros(make_idx(8, {1, 28, 28}, {}), std::uint64_t{256} << 20);
  const PeakMemory peak;
  CHECK(mentions(refusal([&] { parse_idx_gzip(in_memory(bomb)); }), "more in the compressed"));
  CHECK(peak.grew_less_than(16));
}

TEST_CASE(
    "contents that the compressed bytes cannot hold are refused before anything is unpacked") {
  const Bytes small = gzipped(make_idx(8, {60000, 2800, 2800}, ramp(100)));
  const PeakMemory peak;
  CHECK(mentions(refusal([&] { parse_idx_gzip(in_memory(small)); }), "470400000016 declared"));
  CHECK(peak.grew_less_than(16));
}

TEST_CASE("an honest large gzip file is read in little memory") {
  constexpr std::uint32_t kNumImages = 65536;  // 64 MiB of zeros
  const Bytes packed =
      gzipped_zeros(make_idx(8, {kNumImages, 32, 32}, {}), std::uint64_t{kNumImages} * 1024);
  const PeakMemory peak;
  const auto pixels = pixels_of(parse_idx_gzip(in_memory(packed), 1 << 20), {65535, 65536});
  CHECK(pixels == std::vector<double>(1024, 0.0));
  CHECK(peak.grew_less_than(16));
}

}  // namespace
}  // namespace gramtile::data_idx_test
