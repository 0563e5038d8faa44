// RunWriter and RunReader on an undisturbed disk: what is in the file.
#include <doctest/doctest.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <thread>

#include "engine/core/errors.hpp"
#include "io/hdf5/hdf5.hpp"
#include "io/run/read/run_reader.hpp"
#include "io/run/spec/run_image.hpp"
#include "io/run/write/run_writer.hpp"
#include "tests/support/run_fixture.hpp"
#include "tests/support/short_form.hpp"

namespace gramtile::test::run_file_test {

namespace {

/// Every entry of a matrix of the file, read through the HDF5 library, against the fake function.
void check_matrix(const RunSpec& spec, const hdf5::File& file, Index m) {
  const MatrixSpec& matrix = spec.plan.matrices[static_cast<std::size_t>(m)];
  const hdf5::Dataset dataset = file.dataset(matrix.name);
  const std::vector<double> values = read_all(dataset);
  Index wrong = 0;
  for (Index i = 0; i < matrix.num_rows; ++i) {
    for (Index j = 0; j < matrix.num_columns; ++j) {
      const double expected = fake_entry(spec, m, 0, i, j);
      const double rounded = spec.data_type == DataType::kFloat32
                                 ? static_cast<double>(static_cast<float>(expected))
                                 : expected;
      wrong += values[static_cast<std::size_t>(i * matrix.num_columns + j)] != rounded;
    }
  }
  CHECK_MESSAGE(wrong == 0, matrix.name);
}

}  // namespace

TEST_CASE("a finished run leaves one file, in which the HDF5 library finds every entry") {
  for (const DatasetLayout layout : {DatasetLayout::kPlain, DatasetLayout::kCnnGp}) {
    const TemporaryFolder folder;
    RunSpec spec = kernel_spec();
    spec.layout = layout;
    run(folder.file("K.h5"), spec);
    const auto entries = std::filesystem::directory_iterator(folder.path());
    CHECK(std::distance(begin(entries), end(entries)) == 1);
    const hdf5::File file(folder.file("K.h5"));
    for (Index m = 0; m < 3; ++m) check_matrix(spec, file, m);
    const std::vector<Index> shape = file.dataset("Kxx").shape();
    CHECK(shape == (layout == DatasetLayout::kPlain ? std::vector<Index>{61, 61}
                                                    : std::vector<Index>{1, 61, 61}));
    CHECK(read_all(file.dataset("complete")) == std::vector<double>{1});
    CHECK(read_all(file.dataset("train_labels")).front() == 7);
    CHECK(read_all(file.dataset("test")).front() == 100);
    CHECK(file.string_attribute("created") == "2026-01-01T00:00:00Z");
  }
}

TEST_CASE("tiles can be mapped into memory from the attributes offset and chunk_shape") {
  const TemporaryFolder folder;
  const RunSpec spec = kernel_spec();
  run(folder.file("K.h5"), spec);
  const hdf5::File file(folder.file("K.h5"));
  const auto offset =
      static_cast<std::size_t>(file.dataset("Kxtx").number_attribute("offset")->at(0));
  CHECK(*file.dataset("Kxtx").number_attribute("chunk_shape") == std::vector<double>{8, 8});
  const std::vector<char> bytes = read_bytes(folder.file("K.h5"));
  // Entry (29, 60) lies in chunk (3, 7) of 8 chunks per row, at (5, 4) of 8 × 8.
  float value;
  std::memcpy(&value, &bytes[offset + ((3 * 8 + 7) * 64 + 5 * 8 + 4) * sizeof value], sizeof value);
  CHECK(value == static_cast<float>(fake_entry(spec, 1, 0, 29, 60)));
  // Behind the last column, inside the chunk, there is NaN.
  std::memcpy(&value, &bytes[offset + ((3 * 8 + 7) * 64 + 5 * 8 + 5) * sizeof value], sizeof value);
  CHECK(std::isnan(value));
}

TEST_CASE("gradient is the sum of tile_gradient in order, bit for bit") {
  const TemporaryFolder folder;
  const RunSpec spec = gradient_spec();
  run(folder.file("G.h5"), spec);
  const hdf5::File file(folder.file("G.h5"));
  const std::vector<double> rows = read_all(file.dataset("tile_gradient"));
  std::vector<double> sum(3, 0.0);
  for (std::size_t i = 0; i < rows.size(); ++i) sum[i % 3] += rows[i];
  CHECK(read_all(file.dataset("gradient")) == sum);
  CHECK(rows.size() == 3 * spec.plan.tiles.size());
  CHECK(read_all(file.dataset("parameters")) == std::vector<double>{0, 1, 2});
  CHECK(file.strings_attribute("parameter_names") == spec.parameter_names);
  const RunReader reader(folder.file("G.h5"));
  CHECK(reader.vector() == sum);
  const std::vector<double> bounds = read_all(file.dataset("tiles"));
  CHECK(std::vector<double>(bounds.begin() + 4, bounds.begin() + 8) ==
        std::vector<double>{0, 8, 8, 16});
}

TEST_CASE("a gradient is stored without the kernel when that is not asked for") {
  const TemporaryFolder folder;
  RunSpec spec = gradient_spec();
  spec.content = content_of(false, Derivative::kGradient);
  spec.sets[0].labels.assign(61, 3);
  run(folder.file("G.h5"), spec);
  const hdf5::File file(folder.file("G.h5"));
  CHECK_FALSE(file.has_dataset("Kxx"));
  CHECK(file.has_dataset("train_labels"));
  CHECK(read_all(file.dataset("gradient")) == read_all([&] {
          run(folder.file("both.h5"), gradient_spec());
          return hdf5::File(folder.file("both.h5")).dataset("gradient");
        }()));
}

TEST_CASE("a jacobian is stored by parameter, with the kernel beside it") {
  const TemporaryFolder folder;
  const RunSpec spec = jacobian_spec();
  run(folder.file("J.h5"), spec);
  const hdf5::File file(folder.file("J.h5"));
  check_matrix(spec, file, 0);
  const hdf5::Dataset dataset = file.dataset("dKxtx");
  CHECK(dataset.shape() == std::vector<Index>{2, 13, 21});
  const std::vector<double> values = read_all(dataset);
  for (Index p = 0; p < 2; ++p)
    CHECK(values[static_cast<std::size_t>((p * 13 + 12) * 21 + 20)] ==
          fake_entry(spec, 0, p + 1, 12, 20));
}

TEST_CASE("a jacobian of a symmetric matrix has both triangles") {
  const TemporaryFolder folder;
  RunSpec spec = gradient_spec();
  spec.content = content_of(false, Derivative::kJacobian);
  run(folder.file("J.h5"), spec);
  const std::vector<double> d = read_all(hdf5::File(folder.file("J.h5")).dataset("dKxx"));
  const auto at = [&](Index p, Index i, Index j) {
    return d[static_cast<std::size_t>((p * 61 + i) * 61 + j)];
  };
  Index wrong = 0;
  for (Index p = 0; p < 3; ++p) {
    for (Index i = 0; i < 61; ++i) {
      for (Index j = 0; j < 61; ++j)
        wrong += at(p, i, j) !=
                 static_cast<double>(static_cast<float>(fake_entry(spec, 0, p + 1, i, j)));
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("a reader gives back spec, hashes and tiles") {
  const TemporaryFolder folder;
  const RunSpec spec = kernel_spec();
  run(folder.file("K.h5"), spec);
  const RunReader reader(folder.file("K.h5"));
  CHECK(reader.complete());
  CHECK_FALSE(reader.shard());
  CHECK(fingerprint_of(reader.spec()) == fingerprint_of(spec));
  CHECK(reader.spec().sets[0].labels == spec.sets[0].labels);
  CHECK(reader.tiles().size() == 72);
  for (const Index tile : reader.tiles()) {
    CHECK(reader.stored_hash(tile) == reader.actual_hash(tile));
    CHECK(reader.mirror_matches(tile));
    const Tile t = spec.plan.tiles[static_cast<std::size_t>(tile)];
    std::vector<double> values(static_cast<std::size_t>(t.rows.size() * t.columns.size()));
    reader.read_planes(kKernelPlane, tile, values);
    CHECK(values.back() == static_cast<double>(static_cast<float>(fake_entry(
                               spec, t.matrix, 0, t.rows.stop - 1, t.columns.stop - 1))));
  }
}

TEST_CASE("a tile with an entry that is not finite is refused with its place") {
  const TemporaryFolder folder;
  RunSpec spec = kernel_spec();
  RunWriter writer(folder.file("K.h5"), spec);
  const Tile tile = spec.plan.tiles[1];  // rows 0:8, columns 8:16
  std::vector<float> values(64, 1.0F);
  values[2 * 8 + 3] = std::numeric_limits<float>::infinity();
  TileResult result;
  result.tile = tile;
  result.data_type = DataType::kFloat32;
  const TilePlane plane{kKernelPlane, std::as_bytes(std::span(values))};
  result.planes = {&plane, 1};
  const Error error = error_of([&] { writer.write(result); });
  CHECK(error.kind() == ErrorKind::kOther);
  CHECK(mentions(error, "Kxx[2, 11]"));
  CHECK(mentions(error, "float64"));
}

TEST_CASE("a reader polling the growing file sees NaN or final values, never an error") {
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  const RunSpec spec = kernel_spec();
  RunWriter writer(out, spec);
  Index nan = 0, final = 0, wrong = 0;
  const auto poll = [&] {
    const std::vector<double> values =
        read_all(hdf5::File(RunWriter::partial_path(out)).dataset("Kxx"));
    for (Index i = 0; i < 61; ++i) {
      for (Index j = 0; j < 61; ++j) {
        const double value = values[static_cast<std::size_t>(i * 61 + j)];
        const bool same =
            value == static_cast<double>(static_cast<float>(fake_entry(spec, 0, 0, i, j)));
        nan += std::isnan(value);
        final += same;
        wrong += !std::isnan(value) && !same;
      }
    }
  };
  const Index polls = many_or_few(14, 2);
  for (const Index tile : writer.tiles_to_do()) {
    for (Index i = 0; i < polls; ++i) poll();
    deliver(spec, tile, writer);
  }
  writer.commit();
  poll();
  CHECK(wrong == 0);
  CHECK(nan > 0);
  CHECK(final >= 61 * 61);
  MESSAGE(polls, " polls a tile: ", nan, " NaN, ", final, " final, ", wrong, " wrong");
}

TEST_CASE("no size of the queue changes a byte") {
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{1000}}) {
    const TemporaryFolder folder;
    RunOptions options;
    options.queue_bytes = bytes;
    options.tiles_per_commit = 1;
    run(folder.file("K.h5"), kernel_spec(), options);
    CHECK(read_bytes(folder.file("K.h5")) == expected_bytes(kernel_spec()));
  }
}

TEST_CASE("tiles are committed by time when there are few of them") {
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  const RunSpec spec = kernel_spec();
  RunOptions options;
  options.seconds_per_commit = 0.01;
  RunWriter writer(out, spec, options);
  const auto before = std::filesystem::file_size(RunWriter::journal_path(out));
  deliver(spec, 0, writer);
  // 5 s is patience for a busy machine, not a promise.
  for (int i = 0; i < 500 && std::filesystem::file_size(RunWriter::journal_path(out)) == before;
       ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  CHECK(std::filesystem::file_size(RunWriter::journal_path(out)) == before + 32);
}

TEST_CASE("the size of the output is known before it is written") {
  const RunSpec spec = kernel_spec();
  CHECK(output_bytes(spec) == expected_bytes(spec).size());
  CHECK(output_bytes(spec, Shard{1, 3}) == expected_bytes(spec, Shard{1, 3}).size());
}

TEST_CASE("a description of a run survives JSON, and a damaged one is refused") {
  for (const RunSpec& spec : {kernel_spec(), gradient_spec(), jacobian_spec()}) {
    const std::string text = spec_to_json(spec);
    CHECK(spec_to_json(spec_from_json(text, "f")) == text);
    for (std::size_t size = 0; size < text.size(); ++size)
      CHECK_THROWS_AS(spec_from_json(text.substr(0, size), "f"), DataError);
  }
  const std::string text = spec_to_json(kernel_spec());
  const auto replaced = [&](const std::string& from, const std::string& to) {
    std::string changed = text;
    REQUIRE(changed.find(from) != std::string::npos);
    return changed.replace(changed.find(from), from.size(), to);
  };
  for (const std::string& hostile :
       {replaced("\"rows\":61", "\"rows\":-1"),
        replaced("\"rows\":61", "\"rows\":4611686018427387904"),
        replaced("\"rows\":61", "\"rows\":62"), replaced("\"row_set\":0", "\"row_set\":7"),
        replaced("\"tile_size\":8", "\"tile_size\":0"), replaced("symmetric", "round"),
        replaced("\"parameter_names\":[]", "\"parameter_names\":[\"w\"]"), std::string("[]")})
    CHECK_THROWS_AS(spec_from_json(hostile, "f"), DataError);
}

TEST_CASE("an unfinished file cut at any length is refused by the reader, never worse") {
  const TemporaryFolder folder;
  const std::string out = folder.file("J.h5");
  run(out, jacobian_spec());
  const std::vector<char> whole = read_bytes(out);
  Index refused = 0, tried = 0;
  for (std::size_t size = 0; size < whole.size(); size += 101, ++tried) {
    write_bytes(out, {whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)});
    try {
      const RunReader reader(out);
    } catch (const Error& error) {
      const bool named =
          error.kind() == ErrorKind::kData || error.kind() == ErrorKind::kPartMissing;
      refused += named ? 1 : 0;
    }
  }
  CHECK(refused == tried);
}

TEST_CASE("a file of another program is no run file") {
  const TemporaryFolder folder;
  write_bytes(folder.file("x"), {'x'});
  CHECK_THROWS_AS(RunReader(folder.file("x")), DataError);
  const RunSpec spec = kernel_spec();
  CHECK(error_of([&] {
          RunWriter(folder.file("x"), spec, with_mode(StartMode::kResume));
        }).kind() == ErrorKind::kCannotCreate);
}

}  // namespace gramtile::test::run_file_test
