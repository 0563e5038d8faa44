// .npz: what is read, and what is refused.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "io/data/npz.hpp"
#include "io/data/zip.hpp"
#include "tests/support/data_files.hpp"

namespace gramtile::data_npz_test {
namespace {

using namespace test;

const Bytes kImages = make_npy(npy_dict("|u1", "(2, 2, 3)"), ramp(12));
const Bytes kLabels = make_npy(npy_dict("<i8", "(2,)"), joined({little(7, 8), big(~0ull, 8)}));

std::unique_ptr<ImageReader> open(const Bytes& zip, const std::string& key = "",
                                  DatasetRole role = DatasetRole::kTrain) {
  return open_npz(in_memory(zip), key, role);
}

std::vector<double> pixels_of(ImageReader& reader) {
  std::vector<double> pixels(
      static_cast<std::size_t>(reader.num_images() * reader.shape().num_values()));
  reader.read({0, reader.num_images()}, pixels);
  return pixels;
}

std::vector<double> pixels_of(const Bytes& zip) { return pixels_of(*open(zip)); }

std::string refused(const Bytes& zip, const std::string& key = "") {
  return refusal([&] { open(zip, key); });
}

// `size` bytes of `bytes` at `at` replaced by a little-endian number.
Bytes patched(Bytes bytes, std::size_t at, std::uint64_t value, int size) {
  const Bytes field = little(value, size);
  std::copy(field.begin(), field.end(), bytes.begin() + static_cast<std::ptrdiff_t>(at));
  return bytes;
}

TEST_CASE("npz members are read stored, deflated and with zip64 records alike") {
  const std::vector<double> expected = pixels_of(make_zip({{"x.npy", kImages}}));
  CHECK(expected[11] == 11 / 255.);
  CHECK(pixels_of(make_zip({{.name = "x.npy", .contents = kImages, .deflated = true}})) ==
        expected);
  CHECK(pixels_of(make_zip({{.name = "x.npy", .contents = kImages, .zip64 = true}}, true)) ==
        expected);
}

TEST_CASE("a deflated member past the memory limit is read from a temporary file") {
  const Bytes zip = make_zip({{.name = "x.npy", .contents = kImages, .deflated = true}});
  const auto reader = open_npz(in_memory(zip), "", DatasetRole::kTrain, 0);
  CHECK(pixels_of(*reader) == pixels_of(zip));
}

TEST_CASE("npz labels come from 'y' or 'labels', whatever their integer type") {
  for (const char* const name : {"y.npy", "labels.npy"}) {
    const auto reader = open(make_zip({{"X.npy", kImages}, {name, kLabels}}));
    REQUIRE(reader->labels() != nullptr);
    CHECK(read_labels(*reader->labels(), 2, {0, 2}).values == std::vector<std::int64_t>{7, -1});
    CHECK(read_labels(*reader->labels(), 2, {1, 2}).values == std::vector<std::int64_t>{-1});
  }
}

TEST_CASE("floating-point targets in an npz file are no labels") {
  const Bytes half = little(0x3fe0000000000000, 8);
  const Bytes targets = make_npy(npy_dict("<f8", "(2,)"), joined({half, half}));
  const auto reader = open(make_zip({{"X.npy", kImages}, {"y.npy", targets}}));
  const LabelResult labels = read_labels(*reader->labels(), 2, {0, 2});
  CHECK(!labels.values);
  CHECK(mentions(labels.note, "0.5"));
}

TEST_CASE("npz labels of another number than the images are refused") {
  const Bytes three = make_npy(npy_dict("|u1", "(3,)"), ramp(3));
  const auto reader = open(make_zip({{"X.npy", kImages}, {"y.npy", three}}));
  CHECK(mentions(refusal([&] { read_labels(*reader->labels(), 2, {0, 2}); }), "one per image"));
}

TEST_CASE("the array of an npz file is the named one, a usual one, or the only one") {
  const Bytes other = make_npy(npy_dict("|u1", "(1, 1, 1)"), ramp(1));
  const auto num_images = [](const Bytes& zip, const std::string& key, DatasetRole role) {
    return open(zip, key, role)->num_images();
  };
  const auto train = DatasetRole::kTrain, test = DatasetRole::kTest;
  CHECK(num_images(make_zip({{"a.npy", other}, {"b.npy", kImages}}), "b", train) == 2);
  CHECK(num_images(make_zip({{"a.npy", other}, {"x.npy", kImages}}), "", train) == 2);
  CHECK(num_images(make_zip({{"y.npy", kLabels}, {"b.npy", kImages}}), "", train) == 2);
  const Bytes keras = make_zip({{"x_test.npy", other}, {"x_train.npy", kImages}});
  CHECK(num_images(keras, "", train) == 2);
  CHECK(num_images(keras, "", test) == 1);
  CHECK(mentions(refused(make_zip({{"a.npy", other}, {"b.npy", kImages}})), "a, b"));
  CHECK(mentions(refused(make_zip({{"a.npy", other}}), "c"), "'c'"));
  CHECK(mentions(refused(make_zip({})), "none"));
}

TEST_CASE("npz truncated at any byte is refused") {
  const Bytes good =
      make_zip({{.name = "x.npy", .contents = kImages, .deflated = true}, {"y.npy", kLabels}});
  for (std::size_t size = 0; size < good.size(); ++size) {
    CAPTURE(size);
    refused(cut(good, size));
  }
}

TEST_CASE("bytes behind the zip's last record are refused") {
  CHECK(mentions(refused(joined({make_zip({{"x.npy", kImages}}), bytes_of({0})})), "follows"));
}

TEST_CASE("a member whose bytes changed is refused by its CRC") {
  for (const bool deflated : {false, true}) {
    Bytes zip = make_zip({{.name = "x.npy", .contents = kImages, .deflated = deflated}});
    const std::size_t last = zip_directory_offset(zip) - 1;
    if (!deflated) {
      zip[last] ^= std::byte{1};
      CHECK(mentions(refused(zip), "CRC-32"));
    }
    const std::size_t crc = zip_directory_offset(zip) + 16;
    zip[crc] ^= std::byte{1};
    CHECK(mentions(refused(zip), "CRC-32"));
  }
}

TEST_CASE("zip sizes of 0, 2^31 and 2^32 - 1 are refused") {
  for (const bool deflated : {false, true}) {
    const Bytes zip = make_zip({{.name = "x.npy", .contents = kImages, .deflated = deflated}});
    const std::size_t entry = zip_directory_offset(zip);
    for (const std::uint64_t size : {0ull, 0x80000000ull, 0xffffffffull}) {
      CAPTURE(size);
      refused(patched(zip, entry + 20, size, 4));                                // compressed
      refused(patched(zip, entry + 24, size, 4));                                // uncompressed
      refused(patched(patched(zip, entry + 20, size, 4), entry + 24, size, 4));  // both
      if (size > 0) refused(patched(zip, entry + 42, size, 4));                  // header's offset
      refused(patched(zip, zip.size() - 10, size, 4));                           // directory's size
      refused(patched(zip, zip.size() - 6, size, 4));  // directory's offset
    }
  }
}

TEST_CASE("zip64 sizes that overflow when added are refused") {
  const Bytes zip = make_zip({{.name = "x.npy", .contents = kImages, .zip64 = true}}, true);
  const std::size_t records = zip.size() - 22 - 20 - 56;
  const std::size_t extra = records - 28;
  for (const std::uint64_t size : {0ull, 1ull << 63, ~0ull}) {
    CAPTURE(size);
    for (const std::size_t at : {extra + 4, extra + 12, records + 40, records + 48}) {
      CAPTURE(at);
      refused(patched(zip, at, size, 8));
    }
    if (size > 0) refused(patched(zip, extra + 20, size, 8));
  }
}

TEST_CASE("encrypted, oddly packed and doubled members are refused by name") {
  const Bytes zip = make_zip({{"x.npy", kImages}});
  const std::size_t entry = zip_directory_offset(zip);
  CHECK(mentions(refused(patched(zip, entry + 8, 1, 2)), "encryption"));
  CHECK(mentions(refused(patched(zip, entry + 10, 12, 2)), "found 12"));
  CHECK(mentions(refused(make_zip({{"x.npy", kImages}, {"x.npy", kImages}})), "'x.npy' again"));
  CHECK(mentions(refused(patched(zip, zip.size() - 18, 1, 2)), "one disk"));
}

TEST_CASE("a member with a header that contradicts the directory is refused") {
  const Bytes zip = make_zip({{"x.npy", kImages}});
  CHECK(mentions(refused(patched(zip, 0, 0, 4)), "local header"));
  CHECK(mentions(refused(patched(zip, 8, 8, 2)), "method 0"));
  CHECK(mentions(refused(patched(zip, 26, 0xffff, 2)), "more bytes"));
}

TEST_CASE("a member that is not what its npy header says is refused") {
  CHECK(mentions(refused(make_zip({{"x.npy", joined({kImages, bytes_of({0})})}})), "follow"));
  CHECK(mentions(refused(make_zip({{"x.npy", bytes_of("no array")}})), ":/x: offset 0"));
}

TEST_CASE("a zip bomb is refused in little memory") {
  Bytes contents = make_npy(npy_dict("|u1", "(65536, 32, 32)"), {});
  contents.resize(contents.size() + (std::size_t{64} << 20));
  Bytes zip = make_zip({{.name = "x.npy", .contents = contents, .deflated = true}});
  // The directory admits to 1 KiB only.
  zip = patched(zip, zip_directory_offset(zip) + 24, 1024, 4);
  contents = {};
  const PeakMemory peak;
  CHECK(mentions(refused(zip), "more in the compressed stream"));
  CHECK(peak.grew_less_than(16));
}

TEST_CASE("control characters in member names stay out of messages") {
  const std::string name = "a\nb\x1b.npy";
  CHECK(mentions(refused(make_zip({{name, kImages}, {"c.npy", kImages}})), "a\\x0ab\\x1b"));
}

}  // namespace
}  // namespace gramtile::data_npz_test
