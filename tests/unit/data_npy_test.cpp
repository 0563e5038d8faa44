// .npy: what is read, and what is refused.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "io/data/npy.hpp"
#include "tests/support/data_files.hpp"

namespace gramtile::data_npy_test {
namespace {

using namespace test;

const Bytes kPixels = ramp(12);
const Bytes kGood = make_npy(npy_dict("|u1", "(2, 2, 3)"), kPixels);

std::vector<double> pixels_of(const Bytes& file) {
  const auto reader = open_raw_images(parse_npy(in_memory(file)), std::nullopt);
  std::vector<double> pixels(
      static_cast<std::size_t>(reader->num_images() * reader->shape().num_values()));
  reader->read({0, reader->num_images()}, pixels);
  return pixels;
}

std::string refused(const Bytes& bytes) {
  const std::string message =
      refusal([&] { open_raw_images(parse_npy(in_memory(bytes)), std::nullopt); });
  CAPTURE(message);
  CHECK(message.starts_with("test.bin: offset "));
  CHECK(message.find("expected ") != std::string::npos);
  CHECK(message.find(", found ") != std::string::npos);
  return message;
}

std::string refused_dict(const std::string& dict) { return refused(make_npy(dict, kPixels)); }

TEST_CASE("npy versions 1, 2 and 3 are read alike") {
  std::vector<double> expected;
  for (int i = 0; i < 12; ++i) expected.push_back(i / 255.);
  for (const int major : {1, 2, 3}) {
    CHECK(pixels_of(make_npy(npy_dict("|u1", "(2, 2, 3)"), kPixels, major)) == expected);
  }
}

TEST_CASE("npy floats of 2, 4 and 8 bytes are taken as they are") {
  const std::vector<double> expected{1.5, -2.5};
  const Bytes half = joined({little(0x3e00, 2), little(0xc100, 2)});
  CHECK(pixels_of(make_npy(npy_dict("<f2", "(1, 1, 2)"), half)) == expected);
  const float single[] = {1.5f, -2.5f};
  CHECK(pixels_of(make_npy(npy_dict("<f4", "(1, 1, 2)"),
                           bytes_of(std::as_bytes(std::span(single))))) == expected);
  const double twice[] = {1.5, -2.5};
  CHECK(pixels_of(make_npy(npy_dict("<f8", "(1, 1, 2)"),
                           bytes_of(std::as_bytes(std::span(twice))))) == expected);
}

TEST_CASE("float16 covers smallest, largest, zero and negative numbers") {
  const Bytes half = joined({little(0x0001, 2), little(0x03ff, 2), little(0x0400, 2),
                             little(0x7bff, 2), little(0x8000, 2), little(0x3c00, 2)});
  CHECK(pixels_of(make_npy(npy_dict("<f2", "(1, 1, 6)"), half)) ==
        std::vector<double>{0x1p-24, 1023 * 0x1p-24, 0x1p-14, 65504, -0.0, 1});
}

TEST_CASE("the header's keys may stand in any order and quotes") {
  CHECK(pixels_of(make_npy("{\"shape\": (2, 2, 3), 'fortran_order': False, \"descr\": '|u1'}",
                           kPixels)) == pixels_of(kGood));
}

TEST_CASE("npy truncated at any byte is refused") {
  for (std::size_t size = 0; size < kGood.size(); ++size) {
    CAPTURE(size);
    refused(cut(kGood, size));
  }
}

TEST_CASE("npy with another magic or version is refused") {
  for (std::size_t at = 0; at < 6; ++at) {
    Bytes bytes = kGood;
    bytes[at] ^= std::byte{1};
    CHECK(mentions(refused(bytes), "magic"));
  }
  for (const int major : {0, 4, 255}) {
    Bytes bytes = kGood;
    bytes[6] = static_cast<std::byte>(major);
    CHECK(mentions(refused(bytes), "version"));
  }
}

TEST_CASE("a header length past 64 KiB is refused before it is read") {
  const Bytes start = joined({bytes_of("\x93NUMPY"), bytes_of({2, 0})});
  for (const std::uint64_t length : {65537u, 0x80000000u, 0xffffffffu}) {
    CHECK(mentions(refused(joined({start, little(length, 4), kPixels})), "at most 65536"));
  }
}

TEST_CASE("big-endian, Fortran order, objects and structures are refused by name") {
  CHECK(mentions(refused_dict(npy_dict(">f4", "(1, 1, 3)")), "big-endian"));
  CHECK(mentions(refused_dict(npy_dict("|u1", "(2, 2, 3)", "True")), "Fortran order"));
  CHECK(mentions(refused_dict(npy_dict("|O", "(1, 1, 3)")), "Python objects"));
  CHECK(mentions(refused_dict("{'descr': [('a', '<f4')], 'fortran_order': False, "
                              "'shape': (1, 1, 3), }"),
                 "structured"));
}

TEST_CASE("element types that are no pixels are refused by name") {
  for (const char* const type :
       {"|b1", "<c8", "<U3", "<M8[s]", "|V4", "<f16", "u1", "", "<", "=f4"}) {
    CAPTURE(type);
    CHECK(mentions(refused_dict(npy_dict(type, "(2, 2, 3)")), "'|u1'"));
  }
  CHECK(mentions(refused_dict(npy_dict("<i4", "(1, 1, 3)")), "int32"));
  CHECK(mentions(refused_dict(npy_dict("|i1", "(2, 2, 3)")), "int8"));
}

TEST_CASE("a header that is not exactly the three keys is refused") {
  for (const char* const dict : {
           "",
           "{",
           "{}",
           "[]",
           "{'descr': '|u1'}",
           "{'descr': '|u1', 'shape': (2, 2, 3)}",
           "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 3), 'more': 1}",
           "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 3)}",
           "{'descr': '|u1' 'fortran_order': False, 'shape': (2, 2, 3)}",
           "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 3)",
           "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 3)} x",
           "{'descr': '|u1, 'fortran_order': False, 'shape': (2, 2, 3)}",
           "{'descr': '|u1', 'fortran_order': 0, 'shape': (2, 2, 3)}",
           "{'descr': '|u1', 'fortran_order': False, 'shape': [2, 2, 3]}",
           "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 2, 3}",
           "{'descr': '|u1', 'fortran_order': False, 'shape': (2 2 3)}",
           "{'descr': '|u1', 'fortran_order': False, 'shape': (12)}",
           "{'descr': '|u1', 'fortran_order': False, 'shape': (-2, 2, 3)}",
           "{'descr': '|u1', 'fortran_order': False, 'shape': (2.0, 2, 3)}",
           "{'descr': '|u1', 'fortran_order': False, 'shape': (,)}",
           "{'descr': '|u1', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 12)}",
           "{'descr': '|u1', 'fortran_order': False, 'shape': (18446744073709551616, 2, 3)}",
           "{'descr': '|u1\n', 'fortran_order': False, 'shape': (2, 2, 3)}",
       }) {
    CAPTURE(dict);
    refused_dict(dict);
  }
}

TEST_CASE("npy extents of 0, 2^31 and 2^32 - 1 are refused on every axis") {
  for (const char* const extent : {"0", "2147483648", "4294967295"}) {
    const std::string e = extent;
    for (const std::string& shape :
         {"(" + e + ", 2, 3)", "(2, " + e + ", 3)", "(2, 2, " + e + ")"}) {
      CAPTURE(shape);
      refused(make_npy(npy_dict("|u1", shape), kPixels));
      refused(make_npy(npy_dict("|u1", shape), {}));
    }
  }
}

TEST_CASE("npy extents whose product overflows are refused as such") {
  for (const char* const shape : {"(65536, 65536, 65536, 65536)", "(4294967296, 4294967296, 12)",
                                  "(18446744073709551615, 1, 1)", "(0, 4294967296, 4294967296)",
                                  "(2305843009213693952, 1, 1)"}) {
    CAPTURE(shape);
    CHECK(mentions(refused(make_npy(npy_dict("<f8", shape), {})), "2^63"));
  }
}

TEST_CASE("bytes behind the last npy element are refused") {
  CHECK(mentions(refused(joined({kGood, bytes_of({0})})), "bytes follow"));
}

TEST_CASE("npy of a rank other than 3 and 4 is refused with its shape") {
  CHECK(mentions(refused(make_npy(npy_dict("|u1", "()"), ramp(1))), "[]"));
  CHECK(mentions(refused(make_npy(npy_dict("|u1", "(12,)"), kPixels)), "[12]"));
  CHECK(mentions(refused(make_npy(npy_dict("|u1", "(3, 4)"), kPixels)), "[3, 4]"));
}

TEST_CASE("an image of more than 2^26 values is refused") {
  CHECK(mentions(refusal([] {
                   image_shape_of("x", 0, std::vector<std::uint64_t>{1, 8193, 8192});
                 }),
                 "67108864 values"));
  CHECK(image_shape_of("x", 0, std::vector<std::uint64_t>{1, 8192, 8192}).height == 8192);
}

}  // namespace
}  // namespace gramtile::data_npy_test
