// What every source has in common: formats told apart, ranges, hashes, pixels that are not finite,
// bounded memory; and the real MNIST files.
#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "engine/core/errors.hpp"
#include "io/data/dataset.hpp"
#include "io/run/spec/content_hash.hpp"
#include "tests/support/data_files.hpp"

namespace gramtile::data_dataset_test {
namespace {

using namespace test;

std::unique_ptr<Dataset> open(const std::string& source) {
  return open_dataset(parse_source_spec(source), DatasetRole::kTest);
}

Bytes doubles_npy(const std::string& shape, const std::vector<double>& values) {
  return make_npy(npy_dict("<f8", shape), bytes_of(std::as_bytes(std::span(values))));
}

TEST_CASE("formats are told apart by their first bytes, not by their names") {
  const DataFolder folder;
  const Bytes idx = make_idx(8, {2, 2, 3}, ramp(12));
  const Bytes npy = make_npy(npy_dict("|u1", "(2, 2, 3)"), ramp(12));
  const std::string sources[] = {folder.write("a", idx), folder.write("b", gzipped(idx)),
                                 folder.write("c", npy),
                                 folder.write("d", make_zip({{"x.npy", npy}}))};
  const std::string hash = read_contents(*open(sources[0])).hash;
  for (const std::string& source : sources) {
    CAPTURE(source);
    CHECK(open(source)->num_examples() == 2);
    CHECK(read_contents(*open(source)).hash == hash);
  }
}

TEST_CASE("a file of no known format is refused with its first bytes") {
  const DataFolder folder;
  const std::string path = folder.write("a.npy", bytes_of("hello world"));
  CHECK(mentions(refusal([&] { open(path); }), "found 68 65 6c 6c 6f 20 77 6f"));
  CHECK(mentions(refusal([&] { open(folder.write("empty", {})); }), "end of file"));
}

TEST_CASE("what is no regular file is refused without waiting") {
  const DataFolder folder;
  const std::string pipe = folder.path() + "/pipe";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  CHECK(mentions(refusal([&] { open(pipe); }), "regular file"));
}

TEST_CASE("a missing file is an I/O error that names it") {
  try {
    open("/no/such/file.npy");
    FAIL("accepted");
  } catch (const IoError& error) {
    CHECK(error.kind() == ErrorKind::kIo);
    CHECK(mentions(error.what(), "/no/such/file.npy"));
  }
}

TEST_CASE("a dataset name is refused where there is nothing to choose") {
  const DataFolder folder;
  const std::string path = folder.write("a.npy", doubles_npy("(1, 1, 1)", {1}));
  CHECK_THROWS_AS(open(path + ":/X"), Error);
  CHECK_THROWS_AS(open(folder.path() + ":/X"), Error);
}

TEST_CASE("a data set knows its description and its range in the file") {
  const DataFolder folder;
  const std::string source =
      folder.write("a.npy", doubles_npy("(4, 1, 2)", {0, 1, 2, 3, 4, 5, 6, 7})) + "#1:3";
  const auto data = open(source);
  CHECK(data->description() == source);
  CHECK(data->range() == Range{1, 3});
  CHECK(data->num_examples() == 2);
  std::vector<double> pixels(2);
  data->read({1, 2}, pixels);
  CHECK(pixels == std::vector<double>{4, 5});
}

TEST_CASE("a data set refuses a block that does not fit") {
  const DataFolder folder;
  const auto data = open(folder.write("a.npy", doubles_npy("(2, 1, 1)", {1, 2})));
  std::vector<double> pixels(1);
  CHECK_THROWS_AS(data->read({2, 3}, pixels), Error);
  CHECK_THROWS_AS(data->read({0, 2}, pixels), Error);
  CHECK_THROWS_AS(data->read({-1, 0}, pixels), Error);
}

TEST_CASE("a pixel that is not finite is refused with the image's number in the file") {
  for (const double bad :
       {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity(),
        -std::numeric_limits<double>::infinity()}) {
    std::vector<double> values(7 * 2 * 6, 0.5);
    values[5 * 12 + 6 + 4] = bad;  // image 5, channel 1, row 1, column 1 of [2, 2, 3]
    const DataFolder folder;
    const std::string path = folder.write("a.npy", doubles_npy("(7, 2, 2, 3)", values));
    const auto data = open(path + "#2:7");
    std::vector<double> pixels(12);
    data->read({0, 1}, pixels);
    const std::string message = refusal([&] { data->read({3, 4}, pixels); });
    CHECK(mentions(message, "a.npy: image 5 (channel 1, row 1, column 1)"));
    CHECK(mentions(refusal([&] { read_contents(*data); }), "image 5 "));
    CHECK_NOTHROW(read_contents(*open(path + "#:5")));
  }
}

TEST_CASE("the content hash is that of the documented bytes") {
  const DataFolder folder;
  // libxxhash's XXH3_128bits over Python's struct.pack("<4q2d", 1, 1, 1, 2, 0.5, -1).
  const auto data = open(folder.write("a.npy", doubles_npy("(1, 1, 2)", {0.5, -1})));
  CHECK(read_contents(*data).hash == "bc4c328ba1c15788a3d853d1038aff08");
}

TEST_CASE(
    "the hashes of contents and labels see a pixel, a label, the order, the shape and the range") {
  const DataFolder folder;
  const auto hash = [&](const std::string& shape, const std::vector<double>& pixels,
                        std::initializer_list<int> labels, const std::string& range = "") {
    const Bytes y = make_npy(npy_dict("|u1", "(2,)"), bytes_of(labels));
    const Bytes zip = make_zip({{"x.npy", doubles_npy(shape, pixels)}, {"y.npy", y}});
    const auto data = open(folder.write("a.npz", zip) + range);
    return read_contents(*data).hash + label_hash(*data->labels());
  };
  const std::string hashes[] = {
      hash("(2, 1, 2)", {1, 2, 3, 4}, {5, 6}),       hash("(2, 1, 2)", {1, 2, 3, 5}, {5, 6}),
      hash("(2, 1, 2)", {1, 2, 3, 4}, {6, 5}),       hash("(2, 1, 2)", {3, 4, 1, 2}, {5, 6}),
      hash("(2, 2, 1)", {1, 2, 3, 4}, {5, 6}),       hash("(2, 1, 2)", {1, 2, 3, 4}, {5, 6}, "#:1"),
      hash("(2, 1, 2)", {1, 2, 3, 4}, {5, 6}, "#1:")};
  for (const std::string& a : hashes) {
    CHECK(std::count(std::begin(hashes), std::end(hashes), a) == 1);
  }
}

TEST_CASE("the contents of a source tell whether a pixel is negative") {
  const DataFolder folder;
  const std::string path = folder.write("a.npy", doubles_npy("(3, 1, 2)", {1, 0, -0.0, 2, 3, -1}));
  CHECK(read_contents(*open(path + "#:2")).nonnegative);
  CHECK_FALSE(read_contents(*open(path)).nonnegative);
}

TEST_CASE("a data set far larger than memory is read block by block") {
  // 4 GiB of float32 as a sparse file: 2^20 images of 32 × 32, the last pixel 1.
  const DataFolder folder;
  const Bytes header = make_npy(npy_dict("<f4", "(1048576, 32, 32)"), {});
  const std::string path = folder.write("a.npy", header);
  const std::uint64_t size = header.size() + (std::uint64_t{1} << 32);
  REQUIRE(::truncate(path.c_str(), static_cast<off_t>(size)) == 0);
  const PeakMemory peak;
  const auto data = open(path);
  std::vector<double> pixels(256 * 1024, 1.0);
  data->read({1048576 - 256, 1048576}, pixels);
  CHECK(pixels == std::vector<double>(256 * 1024, 0.0));
  CHECK(read_contents(*open(path + "#1000000:1010000")).hash.size() == 32);
  CHECK(peak.grew_less_than(24));
}

TEST_CASE("a file that shrinks while it is read is refused") {
  const DataFolder folder;
  const std::string path = folder.write("a.npy", doubles_npy("(2, 1, 2)", {1, 2, 3, 4}));
  const auto data = open(path);
  std::filesystem::resize_file(path, std::filesystem::file_size(path) - 8);
  std::vector<double> pixels(4);
  CHECK(mentions(refusal([&] { data->read({0, 2}, pixels); }), "shortened"));
}

TEST_CASE("MNIST's test images are read as published") {
  const std::string folder = GRAMTILE_GOLDEN_DIR "/../data/mnist";
  if (!std::filesystem::exists(folder)) return;  // large; not part of a clone
  const auto data = open(folder);
  CHECK(data->num_examples() == 10000);
  CHECK(data->shape() == ImageShape{1, 28, 28});
  REQUIRE(data->labels());
  const std::vector<std::int64_t>& labels = *data->labels();
  CHECK(std::vector(labels.begin(), labels.begin() + 5) ==
        std::vector<std::int64_t>{7, 2, 1, 0, 4});
  // Digits 0 to 9 in the test set: 980, 1135, 1032, …
  CHECK(std::count(labels.begin(), labels.end(), 0) == 980);
  CHECK(std::count(labels.begin(), labels.end(), 1) == 1135);
  CHECK(read_contents(*data).hash == "838f2a5ba8ee971602266e7070370da7");
}

}  // namespace
}  // namespace gramtile::data_dataset_test
