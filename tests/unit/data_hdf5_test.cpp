// Images in HDF5 files: which dataset is taken, and what is refused.
#include <doctest/doctest.h>
#include <hdf5.h>

#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "engine/core/errors.hpp"
#include "io/data/dataset.hpp"
#include "io/run/spec/content_hash.hpp"
#include "tests/support/data_files.hpp"
#include "tests/support/short_form.hpp"

namespace gramtile::data_hdf5_test {
namespace {

using namespace test;

// A file being written; the library's own calls, none of the project's.
class Hdf5Writer {
 public:
  explicit Hdf5Writer(const std::string& path)
      : file_(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)) {}
  ~Hdf5Writer() { H5Fclose(file_); }
  Hdf5Writer(const Hdf5Writer&) = delete;
  Hdf5Writer& operator=(const Hdf5Writer&) = delete;

  hid_t file() const { return file_; }

  // A dataset of file type `type`; `values` are converted to it. Without values: never written.
  void add(const std::string& name, const std::vector<hsize_t>& shape, hid_t type,
           const std::vector<double>& values, hid_t creation = H5P_DEFAULT) const {
    const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
    const hid_t links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(links, 1);
    const hid_t set = H5Dcreate2(file_, name.c_str(), type, space, links, creation, H5P_DEFAULT);
    REQUIRE(set >= 0);
    if (!values.empty()) {
      REQUIRE(H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values.data()) >= 0);
    }
    H5Dclose(set);
    H5Pclose(links);
    H5Sclose(space);
  }

 private:
  hid_t file_;
};

const std::vector<double> kValues{0, 51, 102, 153, 204, 255};

std::unique_ptr<Dataset> open(const std::string& source) {
  return open_dataset(parse_source_spec(source), DatasetRole::kTrain);
}

std::vector<double> pixels_of(const std::string& source) {
  const auto data = open(source);
  std::vector<double> pixels(
      static_cast<std::size_t>(data->num_examples() * data->shape().num_values()));
  data->read({0, data->num_examples()}, pixels);
  return pixels;
}

std::string refused(const std::string& source) {
  return refusal([&] { open(source); });
}

TEST_CASE("HDF5 bytes are divided by 255, floats of any size and order taken as they are") {
  const DataFolder folder;
  const std::string path = folder.path() + "/a.h5";
  {
    const Hdf5Writer h5(path);
    h5.add("bytes", {2, 1, 3}, H5T_STD_U8LE, kValues);
    h5.add("floats", {2, 1, 3}, H5T_IEEE_F32LE, kValues);
    h5.add("doubles", {2, 1, 1, 3}, H5T_IEEE_F64BE, kValues);
  }
  CHECK(pixels_of(path + ":/floats") == kValues);
  CHECK(pixels_of(path + ":/doubles") == kValues);
  std::vector<double> scaled;
  for (const double value : kValues) scaled.push_back(value / 255);
  CHECK(pixels_of(path + ":/bytes") == scaled);
  CHECK(pixels_of(path + ":/bytes#1:") == std::vector<double>{scaled[3], scaled[4], scaled[5]});
}

TEST_CASE("compressed HDF5 datasets are read like others") {
  const DataFolder folder;
  const std::string path = folder.path() + "/a.h5";
  {
    const Hdf5Writer h5(path);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk[] = {1, 1, 3};
    H5Pset_chunk(creation, 3, chunk);
    H5Pset_shuffle(creation);
    H5Pset_deflate(creation, 6);
    h5.add("X", {2, 1, 3}, H5T_IEEE_F32LE, kValues, creation);
    H5Pclose(creation);
  }
  CHECK(pixels_of(path) == kValues);
}

TEST_CASE("the dataset of an HDF5 file is X, or the only one of rank 3 or 4") {
  const DataFolder folder;
  const std::string path = folder.path() + "/a.h5";
  {
    const Hdf5Writer h5(path);
    h5.add("images_of_mine", {2, 1, 3}, H5T_STD_U8LE, kValues);
    h5.add("matrix", {2, 3}, H5T_IEEE_F64LE, kValues);
  }
  CHECK(open(path)->num_examples() == 2);
  {
    const Hdf5Writer h5(path);
    h5.add("A", {2, 1, 3}, H5T_STD_U8LE, kValues);
    h5.add("B", {2, 1, 3}, H5T_STD_U8LE, kValues);
  }
  CHECK(mentions(refused(path), "A [2, 1, 3], B [2, 1, 3]"));
  {
    const Hdf5Writer h5(path);
    h5.add("A", {2, 1, 3}, H5T_STD_U8LE, kValues);
    h5.add("X", {1, 1, 6}, H5T_STD_U8LE, kValues);
  }
  CHECK(open(path)->num_examples() == 1);
  {
    const Hdf5Writer h5(path);
    h5.add("matrix", {2, 3}, H5T_IEEE_F64LE, kValues);
  }
  CHECK(mentions(refused(path), "rank 3 or 4"));
}

TEST_CASE("HDF5 labels lie beside the images, in their group") {
  const DataFolder folder;
  const std::string path = folder.path() + "/a.h5";
  {
    const Hdf5Writer h5(path);
    h5.add("g/X", {2, 1, 3}, H5T_STD_U8LE, kValues);
    h5.add("g/y", {2}, H5T_STD_I32LE, {-1, 8});
    h5.add("h/X", {2, 1, 3}, H5T_STD_U8LE, kValues);
    h5.add("h/y", {2}, H5T_IEEE_F64LE, {0.5, 1});
    h5.add("i/X", {2, 1, 3}, H5T_STD_U8LE, kValues);
    h5.add("i/labels", {3}, H5T_STD_I32LE, {1, 2, 3});
    h5.add("j/X", {2, 1, 3}, H5T_STD_U8LE, kValues);
    h5.add("j/labels", {2}, H5T_STD_U64LE, {1, 0x1p63});
  }
  CHECK(open(path + ":/g/X")->labels() == std::vector<std::int64_t>{-1, 8});
  CHECK(open(path + ":/g/X#1:2")->labels() == std::vector<std::int64_t>{8});
  CHECK(!open(path + ":/h/X")->labels());
  CHECK(mentions(refused(path + ":/i/X"), "one per image"));
  CHECK(mentions(refused(path + ":/j/X"), "2^63"));
}

TEST_CASE("HDF5 datasets of another rank, type or extent are refused") {
  const DataFolder folder;
  const std::string path = folder.path() + "/a.h5";
  {
    const Hdf5Writer h5(path);
    h5.add("matrix", {2, 3}, H5T_IEEE_F64LE, kValues);
    h5.add("ints", {2, 1, 3}, H5T_STD_I32LE, kValues);
    h5.add("signed", {2, 1, 3}, H5T_STD_I8LE, {});
    h5.add("empty", {0, 1, 3}, H5T_IEEE_F64LE, {});
  }
  CHECK(mentions(refused(path + ":/matrix"), "[2, 3]"));
  CHECK(mentions(refused(path + ":/ints"), "int32"));
  CHECK(mentions(refused(path + ":/signed"), "int8"));
  CHECK(mentions(refused(path + ":/empty"), "[0, 1, 3]"));
  CHECK(mentions(refused(path + ":/nowhere"), "nowhere"));
}

TEST_CASE("HDF5 datasets that claim what was never written are refused at once") {
  const DataFolder folder;
  const std::string path = folder.path() + "/a.h5";
  {
    const Hdf5Writer h5(path);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    const hsize_t chunk[] = {1, 28, 28};
    H5Pset_chunk(creation, 3, chunk);
    h5.add("huge", {hsize_t{1} << 40, 28, 28}, H5T_STD_U8LE, {}, creation);
    h5.add("contiguous", {1000, 28, 28}, H5T_STD_U8LE, {});
    h5.add("overflow", {hsize_t{1} << 30, hsize_t{1} << 30, 28}, H5T_STD_U8LE, {}, creation);
    H5Pclose(creation);
  }
  CHECK(mentions(refused(path + ":/huge"), "never written"));
  CHECK(mentions(refused(path + ":/contiguous"), "never written"));
  refused(path + ":/overflow");
}

TEST_CASE("links out of an HDF5 file are not followed, links inside it are") {
  const DataFolder folder;
  const std::string path = folder.path() + "/a.h5", other = folder.path() + "/b.h5";
  {
    const Hdf5Writer target(other);
    target.add("X", {2, 1, 3}, H5T_STD_U8LE, kValues);
    const Hdf5Writer h5(path);
    h5.add("g/X", {2, 1, 3}, H5T_STD_U8LE, kValues);
    H5Lcreate_soft("/g/X", h5.file(), "inside", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_external("b.h5", "/X", h5.file(), "outside", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/outside", h5.file(), "detour", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/loop", h5.file(), "loop", H5P_DEFAULT, H5P_DEFAULT);
  }
  CHECK(open(path + ":/inside")->num_examples() == 2);
  CHECK(mentions(refused(path + ":/outside"), "link into another file"));
  CHECK(mentions(refused(path + ":/detour"), "link into another file"));
  refused(path + ":/loop");
}

TEST_CASE("HDF5 raw data in other files is refused") {
  const DataFolder folder;
  const std::string path = folder.path() + "/a.h5";
  const std::string raw = folder.write("raw.bin", ramp(6));
  {
    const Hdf5Writer h5(path);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_external(creation, raw.c_str(), 0, 6);
    h5.add("X", {2, 1, 3}, H5T_STD_U8LE, {}, creation);
    H5Pclose(creation);
  }
  CHECK(mentions(refused(path), "another file"));
}

// A file with the dataset X of 500 images in one deflated chunk that holds `packed`.
void write_packed_chunk(const std::string& path, const Bytes& packed) {
  const Hdf5Writer h5(path);
  const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
  const hsize_t chunk[] = {500, 28, 28}, origin[] = {0, 0, 0};
  H5Pset_chunk(creation, 3, chunk);
  H5Pset_deflate(creation, 6);
  h5.add("X", {500, 28, 28}, H5T_STD_U8LE, {}, creation);
  const hid_t set = H5Dopen2(h5.file(), "X", H5P_DEFAULT);
  REQUIRE(H5Dwrite_chunk(set, H5P_DEFAULT, 0, origin, packed.size(), packed.data()) >= 0);
  H5Dclose(set);
  H5Pclose(creation);
}

TEST_CASE("an HDF5 chunk that unpacks to more than it declares is refused in little memory") {
  const DataFolder folder;
  const std::string path = folder.path() + "/a.h5";
  write_packed_chunk(path, zlib_zeros(500 * 28 * 28));
  CHECK(read_contents(*open(path)).hash.size() == 32);
  for (const int mebibytes :
       {300, 512}) {  // 300 KB and 520 KB packed: one passes for a chunk's size
    write_packed_chunk(path, zlib_zeros(std::uint64_t{1048576} * static_cast<unsigned>(mebibytes)));
    const auto data = open(path + "#:10");
    const PeakMemory peak;
    CHECK(mentions(refusal([&] { read_contents(*data); }), "expected a chunk of"));
    CHECK(peak.grew_less_than(16));
  }
}

TEST_CASE("HDF5 filters other than deflate, shuffle and checksum are refused") {
  const DataFolder folder;
  const std::string path = folder.path() + "/a.h5";
  const hsize_t chunk[] = {1, 1, 3};
  const auto write = [&](auto set_filter) {
    const Hdf5Writer h5(path);
    const hid_t creation = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(creation, 3, chunk);
    set_filter(creation);
    h5.add("X", {2, 1, 3}, H5T_STD_U8LE, kValues, creation);
    H5Pclose(creation);
  };
  write([](hid_t creation) { H5Pset_nbit(creation); });
  CHECK(mentions(refused(path), "with filter 5"));
  write([](hid_t creation) { H5Pset_scaleoffset(creation, H5Z_SO_INT, 0); });
  CHECK(mentions(refused(path), "with filter 6"));
  write([](hid_t creation) {
    H5Pset_deflate(creation, 1);
    H5Pset_deflate(creation, 1);
  });
  CHECK(mentions(refused(path), "twice"));
  write([](hid_t creation) { H5Pset_fletcher32(creation); });
  CHECK(open(path)->num_examples() == 2);
}

TEST_CASE("an HDF5 file truncated anywhere is refused and nothing else happens") {
  const DataFolder folder;
  const std::string path = folder.path() + "/a.h5";
  { Hdf5Writer(path).add("X", {2, 1, 3}, H5T_IEEE_F64LE, kValues); }
  const std::uint64_t size = std::filesystem::file_size(path);
  for (std::uint64_t left = size; left-- > 0;) {
    // Every byte of the superblock, then every 16th; in the short form every 8th and 128th.
    if (left % as_size(left > 96 ? many_or_few(16, 128) : many_or_few(1, 8)) != 0) continue;
    CAPTURE(left);
    std::filesystem::resize_file(path, left);
    refused(path);
  }
}

TEST_CASE("an HDF5 pixel that is not finite is refused with the image's number") {
  const DataFolder folder;
  const std::string path = folder.path() + "/a.h5";
  std::vector<double> values(12, 1.0);
  values[7] = std::numeric_limits<double>::quiet_NaN();
  { Hdf5Writer(path).add("X", {4, 1, 3}, H5T_IEEE_F32LE, values); }
  const auto data = open(path + "#1:");
  CHECK(mentions(refusal([&] { read_contents(*data); }), ":/X: image 2 "));
}

}  // namespace
}  // namespace gramtile::data_hdf5_test
