// A plane that nobody knows: writer, journal, resume and reader go by the list in the run's
// description, and need no line for a new kind. (verify_planes_test.cpp: shares, merger, verifier.)
#include <doctest/doctest.h>

#include <limits>

#include "engine/core/errors.hpp"
#include "io/hdf5/hdf5.hpp"
#include "io/run/read/run_reader.hpp"
#include "io/run/write/run_writer.hpp"
#include "tests/support/run_fixture.hpp"

namespace gramtile::test::run_planes_test {

namespace {

double stored(double value) { return static_cast<double>(static_cast<float>(value)); }

}  // namespace

TEST_CASE("made-up planes are datasets of their own, mirrored where the matrix is symmetric") {
  const TemporaryFolder folder;
  const RunSpec spec = made_up_spec();
  run(folder.file("K.h5"), spec);
  const hdf5::File file(folder.file("K.h5"));
  CHECK(file.dataset("Spin_Kxx").shape() == std::vector<Index>{21, 21});
  CHECK(file.dataset("qKxtx").shape() == std::vector<Index>{2, 13, 21});
  CHECK(file.dataset("qKt_diag").shape() == std::vector<Index>{2, 13});
  CHECK(file.dataset("moment").shape() == std::vector<Index>{2});
  const std::vector<double> spin = read_all(file.dataset("Spin_Kxx"));
  const std::vector<double> charge = read_all(file.dataset("qKxx"));
  const Index spins = fake_plane(spec, "spin"), charges = fake_plane(spec, "charge");
  Index wrong = 0;
  for (Index i = 0; i < 21; ++i) {
    for (Index j = 0; j < 21; ++j) {
      const auto at = static_cast<std::size_t>(i * 21 + j);
      wrong += spin[at] != stored(fake_entry(spec, 0, spins, i, j));
      for (Index p = 0; p < 2; ++p)
        wrong += charge[at + static_cast<std::size_t>(p) * 21 * 21] !=
                 stored(fake_entry(spec, 0, charges + p, i, j));
    }
  }
  CHECK(wrong == 0);
  const std::vector<double> rows = read_all(file.dataset("tile_moment"));
  std::vector<double> sum(2, 0.0);
  for (std::size_t i = 0; i < rows.size(); ++i) sum[i % 2] += rows[i];
  CHECK(read_all(file.dataset("moment")) == sum);
}

TEST_CASE("a reader gives made-up planes, and the content, back") {
  const TemporaryFolder folder;
  const RunSpec spec = made_up_spec();
  run(folder.file("K.h5"), spec);
  const RunReader reader(folder.file("K.h5"));
  CHECK(reader.spec().content == spec.content);
  CHECK(reader.check_metadata().passed);
  const Tile tile = spec.plan.tiles[8];  // of Kxtx
  const auto area = static_cast<std::size_t>(tile.rows.size() * tile.columns.size());
  std::vector<double> charge(2 * area), kernel(area), entry(1);
  reader.read_planes("charge", 8, charge);
  reader.read_planes("kernel", 8, kernel);
  for (Index p = 0; p < 2; ++p)
    CHECK(charge[static_cast<std::size_t>(p + 1) * area - 1] ==
          stored(fake_entry(spec, tile.matrix, fake_plane(spec, "charge") + p, tile.rows.stop - 1,
                            tile.columns.stop - 1)));
  CHECK(kernel[0] == stored(fake_entry(spec, tile.matrix, 0, tile.rows.start, tile.columns.start)));
  reader.read_entries(1, {12, 13}, {20, 21}, entry);
  CHECK(entry[0] == stored(fake_entry(spec, 1, 0, 12, 20)));
}

TEST_CASE("a run with made-up planes is resumed to the bytes of an undisturbed one") {
  const RunSpec spec = made_up_spec();
  const std::vector<char> expected = expected_bytes(spec);
  for (const Index count : {0, 1, 7, 13}) {
    const TemporaryFolder folder;
    interrupt_after(folder.file("K.h5"), spec, count);
    run(folder.file("K.h5"), spec, with_mode(StartMode::kResume));
    CHECK(read_bytes(folder.file("K.h5")) == expected);
  }
}

TEST_CASE("a run with other planes is not the same run") {
  const TemporaryFolder folder;
  interrupt_after(folder.file("K.h5"), made_up_spec(), 3);
  RunSpec other = made_up_spec();
  other.content.planes[0].name = "isospin";
  const Error error =
      error_of([&] { run(folder.file("K.h5"), other, with_mode(StartMode::kResume)); });
  CHECK(error.kind() == ErrorKind::kResumeRefused);
  CHECK(mentions(error, "content (spin, kernel, charge, moment, now isospin, kernel"));
}

TEST_CASE("a made-up plane that is not finite is refused by its name and place") {
  const TemporaryFolder folder;
  RunSpec spec = made_up_spec();
  spec.content = {.planes = {{.name = "charge", .prefix = "q", .per_parameter = true}},
                  .vector = ""};
  RunWriter writer(folder.file("K.h5"), spec);
  std::vector<float> values(2 * 64, 1.0F);
  values[64 + 3 * 8 + 5] = std::numeric_limits<float>::quiet_NaN();
  const TilePlane plane{"charge", std::as_bytes(std::span(values))};
  TileResult result;
  result.tile = spec.plan.tiles[0];
  result.data_type = DataType::kFloat32;
  result.planes = {&plane, 1};
  CHECK(mentions(error_of([&] { writer.write(result); }), "qKxx[conv0.var_bias][3, 5]"));
  result.planes = {};
  CHECK(mentions(error_of([&] { writer.write(result); }), "lacks"));
}

TEST_CASE("contents that every version knows are described as they always were") {
  const std::string text = spec_to_json(kernel_spec());
  CHECK(text.find(R"("with_kernel":true,"derivative":"none","network")") != std::string::npos);
  CHECK(text.find("planes") == std::string::npos);
  CHECK(spec_from_json(spec_to_json(made_up_spec()), "x").content == made_up_spec().content);
  RunSpec twice = made_up_spec();
  twice.content.planes[2].prefix = "Spin_";
  CHECK(mentions(error_of([&] { spec_from_json(spec_to_json(twice), "x"); }), "planes"));
}

}  // namespace gramtile::test::run_planes_test
