// The HDF5 seam: strict reading, and files built in memory.
#include "io/hdf5/hdf5.hpp"

#include <doctest/doctest.h>
#include <hdf5.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <filesystem>
#include <limits>

#include "engine/core/errors.hpp"
#include "io/hdf5/file_builder.hpp"
#include "tests/support/data_files.hpp"
#include "tests/support/run_fixture.hpp"
#include "tests/support/short_form.hpp"

namespace gramtile::test::hdf5_test {

namespace {

void save(const hdf5::FileImage& image, const std::string& path) {
  std::vector<std::byte> bytes(image.size_bytes());
  image.read(0, bytes);
  std::vector<char> text(bytes.size());
  std::ranges::transform(bytes, text.begin(), [](std::byte b) { return static_cast<char>(b); });
  write_bytes(path, text);
}

/// A file made with the library itself, for what FileBuilder does not make.
class RawFile {
 public:
  explicit RawFile(const std::string& path)
      : file_(H5Fcreate(path.c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT)),
        creation_(H5Pcreate(H5P_DATASET_CREATE)) {}
  ~RawFile() {
    H5Pclose(creation_);
    H5Fclose(file_);
  }
  RawFile(const RawFile&) = delete;

  hid_t file() const { return file_; }
  hid_t creation() const { return creation_; }

  void add(const char* name, hid_t type, std::vector<hsize_t> shape,
           const void* values = nullptr) const {
    const hid_t space = H5Screate_simple(static_cast<int>(shape.size()), shape.data(), nullptr);
    const hid_t dataset = H5Dcreate2(file_, name, type, space, H5P_DEFAULT, creation_, H5P_DEFAULT);
    if (values != nullptr) H5Dwrite(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values);
    H5Dclose(dataset);
    H5Sclose(space);
  }

 private:
  hid_t file_, creation_;
};

}  // namespace

TEST_CASE("the same calls build the same bytes") {
  const auto build = [] {
    hdf5::FileBuilder builder;
    builder.reserve_chunked("K", DataType::kFloat32, {100, 90}, {16, 16});
    builder.set_attribute("", "text", std::string(100'000, 'x'));
    builder.set_attribute("", "names", std::vector<std::string>{"a", "bb"});
    builder.add_int64("n", {100}, std::vector<std::int64_t>(100, 5));
    builder.make_scale("n");
    builder.name_axes("K", {"n"});
    const hdf5::FileImage image = builder.finish();
    std::vector<std::byte> bytes(image.size_bytes());
    image.read(0, bytes);
    return bytes;
  };
  CHECK(build() == build());
}

TEST_CASE("a reserved dataset costs memory for its metadata only") {
  hdf5::FileBuilder builder;
  builder.reserve_chunked("K", DataType::kFloat32, {1'000'000, 1'000'000}, {4096, 4096});
  const hdf5::FileImage image = builder.finish();
  CHECK(image.size_bytes() > 4'000'000'000'000);
  CHECK(image.reserved().front().grid == std::vector<Index>{245, 245});
}

TEST_CASE("chunks lie one after another, on page borders, where the file says") {
  const TemporaryFolder folder;
  hdf5::FileBuilder builder;
  builder.reserve_chunked("A", DataType::kFloat64, {300, 200}, {64, 64});
  builder.reserve_chunked("B", DataType::kFloat32, {3, 300, 200}, {1, 64, 64});
  builder.reserve_chunked("one", DataType::kFloat32, {200, 200}, {200, 200});
  const hdf5::FileImage image = builder.finish();
  for (const hdf5::RawData& raw : image.reserved()) {
    CHECK(raw.offset % 4096 == 0);
    Index chunks = 1;
    for (const Index extent : raw.grid) chunks *= extent;
    CHECK(raw.num_bytes == static_cast<std::uint64_t>(chunks) * raw.chunk_bytes);
  }
  save(image, folder.file("f.h5"));
  // Written past the library, read through it: entry (299, 199) of A is (43, 7) of chunk (4, 3).
  std::vector<char> bytes = read_bytes(folder.file("f.h5"));
  const hdf5::RawData& a = image.reserved().front();
  REQUIRE(a.dataset == "A");
  const double value = 42;
  std::memcpy(&bytes[a.offset + (4 * 4 + 3) * a.chunk_bytes + (43 * 64 + 7) * sizeof value], &value,
              sizeof value);
  write_bytes(folder.file("f.h5"), bytes);
  const hdf5::Dataset dataset = hdf5::File(folder.file("f.h5")).dataset("A");
  double found = 0;
  const std::array<Range, 2> last{Range{299, 300}, Range{199, 200}};
  dataset.read(last, std::span(&found, 1));
  CHECK(found == 42);
}

TEST_CASE("attributes and strings come back as they were set") {
  const TemporaryFolder folder;
  hdf5::FileBuilder builder;
  builder.add_strings("names", {"conv0.var_weight", "b", "größe"});
  builder.set_attribute("", "text", std::string("größer"));
  builder.set_attribute("", "list", std::vector<std::string>{"a", "", "ccc"});
  builder.set_attribute("names", "numbers", std::vector<double>{0.1, -1e300});
  builder.set_attribute("", "count", std::int64_t{-5});
  save(builder.finish(), folder.file("f.h5"));
  const hdf5::File file(folder.file("f.h5"));
  CHECK(file.dataset("names").read_strings() ==
        std::vector<std::string>{"conv0.var_weight", "b", "größe"});
  CHECK(file.string_attribute("text") == "größer");
  CHECK(*file.strings_attribute("list") == std::vector<std::string>{"a", "", "ccc"});
  CHECK(*file.dataset("/names").number_attribute("numbers") == std::vector<double>{0.1, -1e300});
  CHECK(file.number_attribute("count")->front() == -5);
  CHECK_FALSE(file.string_attribute("nothing"));
  CHECK_FALSE(file.number_attribute("text"));
  CHECK(file.dataset_names() == std::vector<std::string>{"names"});
}

TEST_CASE("every numeric type is read as double; integers also as integers") {
  const TemporaryFolder folder;
  {
    const RawFile raw(folder.file("f.h5"));
    const std::array<std::uint8_t, 2> bytes{0, 255};
    raw.add("uint8", H5T_STD_U8LE, {2}, bytes.data());
    const std::array<std::int32_t, 2> numbers{-7, 1'000'000};
    raw.add("int32", H5T_NATIVE_INT32, {2}, numbers.data());
    const std::array<float, 2> floats{0.5F, -2.0F};
    raw.add("float32", H5T_NATIVE_FLOAT, {2}, floats.data());
    raw.add("int32be", H5T_STD_I32BE, {2});
  }
  const hdf5::File file(folder.file("f.h5"));
  const Range both{0, 2};
  std::array<double, 2> values{};
  file.dataset("uint8").read(std::span(&both, 1), values);
  CHECK(values == std::array<double, 2>{0, 255});
  file.dataset("float32").read(std::span(&both, 1), values);
  CHECK(values == std::array<double, 2>{0.5, -2});
  std::array<std::int64_t, 2> integers{};
  file.dataset("int32").read(std::span(&both, 1), std::span<std::int64_t>(integers));
  CHECK(integers == std::array<std::int64_t, 2>{-7, 1'000'000});
  CHECK(file.dataset("uint8").type().name() == "uint8");
  CHECK(file.dataset("int32be").type().name() == "int32");
  CHECK(mentions(refusal([&] {
                   file.dataset("float32").read(std::span(&both, 1),
                                                std::span<std::int64_t>(integers));
                 }),
                 "integers expected"));
}

TEST_CASE("what is not there or not HDF5 is refused with file and dataset") {
  const TemporaryFolder folder;
  const std::string path = folder.file("f.h5");
  const Error missing = error_of([&] { hdf5::File{path}; });
  CHECK(missing.kind() == ErrorKind::kIo);
  CHECK(mentions(missing.what(), path));
  CHECK(mentions(refusal([&] { hdf5::File{folder.path().string()}; }), "a directory"));
  REQUIRE(mkfifo(folder.file("pipe").c_str(), 0600) == 0);
  CHECK(mentions(refusal([&] { hdf5::File{folder.file("pipe")}; }), "pipe"));
  write_bytes(path, {'n', 'o'});
  CHECK_FALSE(hdf5::looks_like_hdf5(path));
  CHECK(mentions(refusal([&] { hdf5::File{path}; }), "not an HDF5 file"));
  { const RawFile raw(path); }
  CHECK(hdf5::looks_like_hdf5(path));
  CHECK(mentions(refusal([&] { hdf5::File(path).dataset("K"); }), path + ":/K"));
  CHECK_FALSE(hdf5::File(path).has_dataset("K"));
}

TEST_CASE("a range outside the shape, or of another rank, is refused") {
  const TemporaryFolder folder;
  { RawFile(folder.file("f.h5")).add("K", H5T_NATIVE_FLOAT, {3, 4}); }
  const hdf5::Dataset dataset = hdf5::File(folder.file("f.h5")).dataset("K");
  std::vector<double> values(4);
  const std::array<Range, 2> outside{Range{0, 1}, Range{1, 5}};
  CHECK(mentions(refusal([&] { dataset.read(outside, values); }), "axis 1 has 4 entries"));
  CHECK(mentions(refusal([&] { dataset.read(std::span(outside).first(1), values); }), "2 axes"));
}

TEST_CASE("external links, external and virtual data and unknown filters are refused") {
  const TemporaryFolder folder;
  const std::string other = folder.file("other.h5"), path = folder.file("f.h5");
  const std::array<float, 4> values{1, 2, 3, 4};
  { RawFile(other).add("K", H5T_NATIVE_FLOAT, {4}, values.data()); }
  {
    const RawFile raw(path);
    H5Lcreate_external(other.c_str(), "/K", raw.file(), "link", H5P_DEFAULT, H5P_DEFAULT);
    H5Lcreate_soft("/link", raw.file(), "soft", H5P_DEFAULT, H5P_DEFAULT);
    H5Pset_external(raw.creation(), folder.file("raw.bin").c_str(), 0, 16);
    raw.add("external", H5T_NATIVE_FLOAT, {4});
  }
  {
    const RawFile raw(folder.file("v.h5"));
    const hsize_t size = 4;
    const hid_t space = H5Screate_simple(1, &size, nullptr);
    H5Pset_virtual(raw.creation(), space, other.c_str(), "/K", space);
    H5Sclose(space);
    raw.add("virtual", H5T_NATIVE_FLOAT, {4});
  }
  const hdf5::File file(path);
  CHECK_FALSE(file.has_dataset("link"));
  CHECK(mentions(refusal([&] { file.dataset("link"); }), ":/link"));
  CHECK(mentions(refusal([&] { file.dataset("soft"); }), ":/soft"));
  CHECK(mentions(refusal([&] { file.dataset("external"); }), "another file"));
  CHECK(mentions(refusal([&] { hdf5::File(folder.file("v.h5")).dataset("virtual"); }),
                 "virtual dataset"));
}

TEST_CASE("a compressed dataset is read; one with chunks of more than 1 GiB is refused unread") {
  const TemporaryFolder folder;
  const std::string path = folder.file("f.h5");
  const std::array<float, 4> values{1, 2, 3, 4};
  {
    const RawFile raw(path);
    const hsize_t small = 2, large = hsize_t{1} << 29;
    H5Pset_chunk(raw.creation(), 1, &small);
    H5Pset_deflate(raw.creation(), 6);
    raw.add("small", H5T_NATIVE_FLOAT, {4}, values.data());
    H5Pset_chunk(raw.creation(), 1, &large);
    raw.add("bomb", H5T_NATIVE_FLOAT, {hsize_t{1} << 30});
  }
  const hdf5::File file(path);
  std::array<double, 4> read{};
  const Range all{0, 4};
  file.dataset("small").read(std::span(&all, 1), read);
  CHECK(read == std::array<double, 4>{1, 2, 3, 4});
  CHECK(mentions(refusal([&] { file.dataset("bomb"); }), "1 GiB"));
}

TEST_CASE("extents whose product overflows are refused") {
  const TemporaryFolder folder;
  const std::string path = folder.file("f.h5");
  {
    const RawFile raw(path);
    const std::array<hsize_t, 2> chunk{1, 1};
    H5Pset_chunk(raw.creation(), 2, chunk.data());
    raw.add("K", H5T_NATIVE_UINT8, {hsize_t{1} << 40, hsize_t{1} << 20});
  }
  CHECK(mentions(refusal([&] { hdf5::File(path).dataset("K"); }), "overflows"));
}

TEST_CASE("a file cut at any byte is refused or read, never worse") {
  const TemporaryFolder folder;
  const std::string path = folder.file("f.h5");
  hdf5::FileBuilder builder;
  builder.add_strings("names", {"a", "b"});
  builder.reserve_chunked("K", DataType::kFloat32, {8, 8}, {4, 4});
  builder.set_attribute("", "text", std::string("x"));
  save(builder.finish(), path);
  const std::vector<char> whole = read_bytes(path);
  Index tried = 0, refused = 0;
  // Every opening is a process of its own, which a sanitizer makes expensive.
  const auto step = as_size(many_or_few(7, 71));
  for (std::size_t size = 0; size < whole.size(); size += step, ++tried) {
    write_bytes(path, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    try {
      const hdf5::File file(path);
      static_cast<void>(file.dataset("names").read_strings());
    } catch (const DataError&) {
      ++refused;
    }
  }
  CHECK(tried > 20);
  CHECK(refused == tried);
}

}  // namespace gramtile::test::hdf5_test
