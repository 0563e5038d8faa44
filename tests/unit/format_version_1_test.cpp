// Files of format version 1, written on 2026-11-26 by the program of 2026-11-25 before it sealed
// its files (revision 7ab7dbe): two shares of Kxx [5, 5] with its jacobian by two parameters, and a
// whole file of Kxx and its gradient, in tiles of 3, of the numbers of
// tests/support/run_fixture.cpp. tests/golden/format_version_1.hex holds them, compressed with
// gzip: a line with the name and the number of bytes, then lines of hexadecimal digits.
#include <doctest/doctest.h>
#include <zlib.h>

#include <fstream>
#include <sstream>

#include "apps/common/verify.hpp"
#include "engine/core/errors.hpp"
#include "io/hdf5/hdf5.hpp"
#include "io/run/read/run_reader.hpp"
#include "io/run/write/merge_shards.hpp"
#include "tests/support/run_fixture.hpp"

namespace gramtile::test::format_version_1_test {

namespace {

std::vector<char> unpacked(const std::string& hex) {
  std::vector<unsigned char> packed;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2)
    packed.push_back(static_cast<unsigned char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
  std::vector<char> bytes(std::size_t{1} << 16);
  z_stream stream{};
  REQUIRE(inflateInit2(&stream, 16 + MAX_WBITS) == Z_OK);
  stream.next_in = packed.data();
  stream.avail_in = static_cast<uInt>(packed.size());
  stream.next_out = reinterpret_cast<Bytef*>(bytes.data());
  stream.avail_out = static_cast<uInt>(bytes.size());
  REQUIRE(inflate(&stream, Z_FINISH) == Z_STREAM_END);
  bytes.resize(stream.total_out);
  inflateEnd(&stream);
  return bytes;
}

/// Writes the three files into `folder`.
void write_old_files(const TemporaryFolder& folder) {
  std::ifstream file(std::string(GRAMTILE_TESTS_DIR) + "/golden/format_version_1.hex");
  std::string name, line, hex;
  std::size_t num_bytes = 0, num_files = 0;
  while (file >> name >> num_bytes) {
    for (hex.clear(); hex.size() < 2 * num_bytes && file >> line;) hex += line;
    REQUIRE(hex.size() == 2 * num_bytes);
    write_bytes(folder.file(name), unpacked(hex));
    ++num_files;
  }
  REQUIRE(num_files == 3);
}

double stored(double value) { return static_cast<double>(static_cast<float>(value)); }

}  // namespace

TEST_CASE("a file of format version 1 is read and verified") {
  const TemporaryFolder folder;
  write_old_files(folder);
  for (const char* name : {"share0.h5", "share1.h5", "gradient.h5"}) {
    CAPTURE(name);
    CHECK(hdf5::File(folder.file(name)).number_attribute("format_version")->at(0) == 1);
    const RunReader reader(folder.file(name));
    CHECK(reader.complete());
    CHECK(reader.check_metadata().note.find("no seal") != std::string::npos);
    const RunSpec& spec = reader.spec();
    CHECK(spec.sets[0].labels == std::vector<std::int64_t>{3, 1, 4, 1, 5});
    const bool jacobian = spec.content.has(kJacobianPlane);
    CHECK(spec.content ==
          content_of(true, jacobian ? Derivative::kJacobian : Derivative::kGradient));
    for (const Index t : reader.tiles()) {
      CHECK(reader.stored_hash(t) == reader.actual_hash(t));
      const Tile tile = spec.plan.tiles[static_cast<std::size_t>(t)];
      const auto area = static_cast<std::size_t>(tile.rows.size() * tile.columns.size());
      std::vector<double> kernel(area), slopes(jacobian ? 2 * area : 0);
      reader.read_planes(kKernelPlane, t, kernel);
      if (jacobian) reader.read_planes(kJacobianPlane, t, slopes);
      const Index row = tile.rows.stop - 1, column = tile.columns.stop - 1;
      CHECK(kernel.back() == stored(fake_entry(spec, 0, 0, row, column)));
      if (jacobian) CHECK(slopes.back() == stored(fake_entry(spec, 0, 2, row, column)));
    }
  }
}

TEST_CASE("shares of format version 1 merge to the file that a run of today would be") {
  const TemporaryFolder folder;
  write_old_files(folder);
  merge_shards(folder.file("K.h5"), {folder.file("share1.h5"), folder.file("share0.h5")});
  const RunReader share(folder.file("share0.h5"));
  CHECK(read_bytes(folder.file("K.h5")) == expected_bytes(share.spec()));
}

TEST_CASE("a gradient of format version 1 is the sum of its tiles") {
  const TemporaryFolder folder;
  write_old_files(folder);
  const RunReader reader(folder.file("gradient.h5"));
  std::vector<double> sum(2, 0.0), part(2);
  for (const Index t : reader.tiles()) {
    reader.read_tile_vector(t, part);
    for (std::size_t p = 0; p < 2; ++p) sum[p] += part[p];
  }
  CHECK(reader.vector() == sum);
}

TEST_CASE("a tile that changed in a file of format version 1 is found") {
  const TemporaryFolder folder;
  write_old_files(folder);
  const std::string path = folder.file("gradient.h5");
  const auto offset =
      static_cast<std::size_t>(hdf5::File(path).dataset("Kxx").number_attribute("offset")->at(0));
  flip_byte(path, offset + 1);
  bool found = false;
  for (const apps::Finding& finding : apps::check_file(RunReader(path), [](const Tile&) {}))
    found = found || (finding.check == "hashes" && !finding.passed && finding.damaged);
  CHECK(found);
}

}  // namespace gramtile::test::format_version_1_test
