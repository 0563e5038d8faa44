// MATLAB's .mat files of version 5, made here byte by byte.
#include <doctest/doctest.h>
#include <zlib.h>

#include <string>
#include <vector>

#include "engine/core/errors.hpp"
#include "io/data/mat5.hpp"
#include "tests/support/data_files.hpp"

namespace gramtile::data_mat5_test {
namespace {

using namespace test;

Bytes padded(Bytes bytes) {
  bytes.resize((bytes.size() + 7) / 8 * 8);
  return bytes;
}

Bytes element(int type, const Bytes& contents) {
  if (contents.size() <= 4) {  // in the tag itself
    return padded(joined(
        {little(static_cast<std::uint64_t>(type), 2), little(contents.size(), 2), contents}));
  }
  return joined(
      {little(static_cast<std::uint64_t>(type), 4), little(contents.size(), 4), padded(contents)});
}

// A uint8 array; `shape` as MATLAB has it, `values` column by column.
Bytes variable(const std::string& name, const std::vector<int>& shape, const Bytes& values) {
  Bytes extents;
  for (const int extent : shape) {
    extents = joined({extents, little(static_cast<std::uint64_t>(extent), 4)});
  }
  return element(14, joined({element(6, joined({little(9, 4), little(0, 4)})), element(5, extents),
                             element(1, bytes_of(name)), element(2, values)}));
}

Bytes compressed(const Bytes& contents) {
  uLongf size = compressBound(static_cast<uLong>(contents.size()));
  Bytes packed(size);
  REQUIRE(compress(reinterpret_cast<Bytef*>(packed.data()), &size,
                   reinterpret_cast<const Bytef*>(contents.data()),
                   static_cast<uLong>(contents.size())) == Z_OK);
  packed.resize(size);
  return joined({little(15, 4), little(size, 4), packed});
}

Bytes mat_file(std::initializer_list<Bytes> variables) {
  Bytes header = bytes_of(std::string_view("MATLAB 5.0 MAT-file"));
  header.resize(124);
  return joined({header, little(0x0100, 2), bytes_of(std::string_view("IM")), joined(variables)});
}

// Two images of 3 × 2 (height × width): MATLAB's [3, 2, 2].
const std::vector<int> kShape{3, 2, 2};

std::vector<double> pixels_of(const Bytes& file) {
  const auto reader = open_mat5(in_memory(file), "", DatasetRole::kTrain, 1 << 20);
  std::vector<double> pixels(
      static_cast<std::size_t>(reader->num_images() * reader->shape().num_values()));
  reader->read({0, reader->num_images()}, pixels);
  return pixels;
}

TEST_CASE("a MATLAB array [H, W, N] is read as N images of H rows and W columns") {
  const Bytes x = variable("X", kShape, ramp(12));
  for (const Bytes& stored : {x, compressed(x)}) {
    const auto reader = open_mat5(in_memory(mat_file({stored})), "", DatasetRole::kTrain, 1 << 20);
    CHECK(reader->shape() == ImageShape{.channels = 1, .height = 3, .width = 2});
    CHECK(reader->num_images() == 2);
    CHECK(!reader->axes_are_assumed());
    std::vector<double> expected;  // column by column in the file, row by row here
    for (const int value : {0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11}) expected.push_back(value / 255.);
    CHECK(pixels_of(mat_file({stored})) == expected);
  }
}

TEST_CASE("any flipped bit of a .mat file is refused or read, never worse") {
  const Bytes x = variable("X", kShape, ramp(12)), y = variable("y", {2, 1}, ramp(2));
  Index refused = 0, tried = 0;
  for (const Bytes& whole : {mat_file({x, y}), mat_file({compressed(x), compressed(y)})}) {
    REQUIRE(pixels_of(whole).size() == 12);
    for (std::size_t at = 0; at < whole.size(); ++at) {
      for (int bit = 0; bit < 8; ++bit) {
        Bytes flipped = whole;
        flipped[at] ^= static_cast<std::byte>(1 << bit);
        ++tried;
        try {
          const std::size_t num_pixels = pixels_of(flipped).size();
          CHECK(num_pixels <= 12);
        } catch (const DataError&) {
          ++refused;
        }
      }
    }
  }
  MESSAGE(tried << " flipped bits, " << refused << " refused");
  CHECK(refused > tried / 4);
}

TEST_CASE("sizes that a .mat file declares are compared with what is there before room is made") {
  Bytes whole = mat_file({variable("X", kShape, ramp(12))});
  const PeakMemory memory;
  for (std::size_t at = 132; at + 4 <= whole.size(); at += 4) {
    Bytes patched = whole;
    for (std::size_t i = 0; i < 4; ++i) patched[at + i] = std::byte{0x7f};
    try {
      pixels_of(patched);
    } catch (const DataError&) {
    }
  }
  CHECK(memory.grew_less_than(16));
}

}  // namespace
}  // namespace gramtile::data_mat5_test
