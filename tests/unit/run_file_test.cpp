// RunWriter, RunReader and merging, on an undisturbed disk.
#include "io/run/run_file.hpp"

#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <limits>
#include <thread>

#include "engine/core/errors.hpp"
#include "io/hdf5/hdf5.hpp"
#include "io/run/read_run.hpp"
#include "tests/support/run_fixture.hpp"

using namespace gramtile;
using namespace gramtile::test;

namespace {

/// Runs `action`, which must throw an Error; returns it.
template <typename Action>
Error error_of(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return error;
  }
  FAIL("no error was thrown");
  return {ErrorKind::kOther, ""};
}

bool mentions(const Error& error, const std::string& text) {
  return std::string(error.what()).find(text) != std::string::npos;
}

void run(const std::string& out, const RunSpec& spec, const RunOptions& options = {}) {
  Promise promise;
  run_to_end(out, spec, options, promise);
}

RunOptions with_mode(StartMode mode) {
  RunOptions options;
  options.mode = mode;
  return options;
}

RunOptions for_shard(Index index, Index count) {
  RunOptions options;
  options.shard = Shard{index, count};
  return options;
}

/// Delivers the first `count` tiles and interrupts.
void interrupt_after(const std::string& out, const RunSpec& spec, Index count) {
  RunWriter writer(out, spec);
  for (Index tile = 0; tile < count; ++tile) deliver(spec, tile, writer);
  writer.interrupt();
}

void flip_byte(const std::string& path, std::size_t position) {
  std::vector<char> bytes = read_bytes(path);
  REQUIRE(position < bytes.size());
  bytes[position] = static_cast<char>(bytes[position] ^ 0x10);
  write_bytes(path, bytes);
}

std::vector<double> read_all(const hdf5::Dataset& dataset) {
  std::vector<Range> ranges;
  for (const Index extent : dataset.shape()) ranges.push_back({0, extent});
  std::vector<double> values(static_cast<std::size_t>(dataset.num_elements()));
  dataset.read(ranges, values);
  return values;
}

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
  CHECK(file.dataset("parameters").read_strings() == spec.parameter_names);
  const RunReader reader(folder.file("G.h5"));
  CHECK(reader.gradient() == sum);
  const std::vector<double> bounds = read_all(file.dataset("tiles"));
  CHECK(std::vector<double>(bounds.begin() + 4, bounds.begin() + 8) ==
        std::vector<double>{0, 8, 8, 16});
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
  spec.derivative = Derivative::kJacobian;
  spec.with_kernel = false;
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
    const Tile& t = spec.plan.tiles[static_cast<std::size_t>(tile)];
    std::vector<double> values(static_cast<std::size_t>(t.rows.size() * t.columns.size()));
    reader.read_kernel(tile, values);
    CHECK(values.back() == static_cast<double>(static_cast<float>(fake_entry(
                               spec, t.matrix, 0, t.rows.stop - 1, t.columns.stop - 1))));
  }
}

TEST_CASE("an interrupted run goes on where it stopped and ends in the same bytes") {
  for (const RunSpec& spec : {kernel_spec(), gradient_spec(), jacobian_spec()}) {
    const TemporaryFolder folder;
    const std::string out = folder.file("K.h5");
    interrupt_after(out, spec, 5);
    CHECK_FALSE(std::filesystem::exists(out));
    CHECK_FALSE(RunReader(RunWriter::partial_path(out)).complete());
    {
      const RunWriter again(out, spec, with_mode(StartMode::kResume));
      CHECK(again.tiles_to_do().front() == 5);
      CHECK(again.num_damaged() == 0);
    }
    run(out, spec, with_mode(StartMode::kResume));
    CHECK(read_bytes(out) == expected_bytes(spec));
  }
}

TEST_CASE("a resumed run keeps the time and command of its first start") {
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  RunSpec spec = kernel_spec();
  interrupt_after(out, spec, 5);
  const std::vector<char> expected = expected_bytes(spec);
  spec.created = "2027-07-07T07:07:07Z";
  spec.command = "kernel-build --network test --resume";
  spec.sets[0].source = "elsewhere/train";
  run(out, spec, with_mode(StartMode::kResume));
  CHECK(read_bytes(out) == expected);
}

TEST_CASE("resuming a finished run does nothing") {
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  const RunSpec spec = kernel_spec();
  run(out, spec);
  RunWriter again(out, spec, with_mode(StartMode::kResume));
  CHECK(again.already_finished());
  CHECK(again.tiles_to_do().empty());
  again.finish();
  CHECK(read_bytes(out) == expected_bytes(spec));
}

TEST_CASE("an existing output is kept unless it is to be overwritten, and then until the end") {
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  const RunSpec spec = kernel_spec();
  write_bytes(out, {'o', 'l', 'd'});
  CHECK(error_of([&] { RunWriter(out, spec); }).kind() == ErrorKind::kCannotCreate);
  {
    RunWriter writer(out, spec, with_mode(StartMode::kOverwrite));
    for (const Index tile : writer.tiles_to_do()) deliver(spec, tile, writer);
    CHECK(read_bytes(out) == std::vector<char>{'o', 'l', 'd'});
    writer.finish();
  }
  CHECK(read_bytes(out) == expected_bytes(spec));
}

TEST_CASE("an output that appears while a run is on is not replaced, and nothing is lost") {
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  const RunSpec spec = kernel_spec();
  {
    RunWriter writer(out, spec);
    for (const Index tile : writer.tiles_to_do()) deliver(spec, tile, writer);
    write_bytes(out, {'n', 'e', 'w'});
    CHECK(error_of([&] { writer.finish(); }).kind() == ErrorKind::kCannotCreate);
  }
  CHECK(read_bytes(out) == std::vector<char>{'n', 'e', 'w'});
  std::filesystem::remove(out);
  run(out, spec, with_mode(StartMode::kResume));
  CHECK(read_bytes(out) == expected_bytes(spec));
}

TEST_CASE("an unfinished run is in the way until it is resumed or overwritten") {
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  const RunSpec spec = kernel_spec();
  interrupt_after(out, spec, 5);
  CHECK(error_of([&] { RunWriter(out, spec); }).kind() == ErrorKind::kUnfinishedRun);
  const RunWriter fresh(out, spec, with_mode(StartMode::kOverwrite));
  CHECK(fresh.tiles_to_do().size() == 72);
}

TEST_CASE("a second writer is refused while the first is on") {
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  const RunSpec spec = kernel_spec();
  const RunWriter first(out, spec);
  for (const StartMode mode : {StartMode::kCreate, StartMode::kResume, StartMode::kOverwrite})
    CHECK(error_of([&] { RunWriter(out, spec, with_mode(mode)); }).kind() == ErrorKind::kLocked);
}

TEST_CASE("an output in a missing folder is refused with what to do") {
  const Error error = error_of([] { RunWriter("/nonexistent/folder/K.h5", kernel_spec()); });
  CHECK(error.kind() == ErrorKind::kCannotCreate);
  CHECK(mentions(error, "/nonexistent/folder/K.h5"));
}

TEST_CASE("changed inputs are refused by name") {
  const TemporaryFolder folder;
  const std::string out = folder.file("G.h5");
  const RunSpec spec = gradient_spec();
  interrupt_after(out, spec, 5);
  const auto check = [&](const char* name, const auto& change) {
    RunSpec other = spec;
    change(other);
    const Error error = error_of([&] { RunWriter(out, other, with_mode(StartMode::kResume)); });
    CHECK_MESSAGE(error.kind() == ErrorKind::kResumeRefused, error.what());
    CHECK_MESSAGE(mentions(error, name), error.what());
  };
  check("pixels of train", [](RunSpec& s) { s.sets[0].hash[0] = 'f'; });
  check("range of train", [](RunSpec& s) { s.sets[0].first = 3; });
  check("labels of train", [](RunSpec& s) { s.sets[0].labels.assign(61, 1); });
  check("network", [](RunSpec& s) { s.network += " "; });
  check("parameter conv0.var_bias (7.86, now 7.87)",
        [](RunSpec& s) { s.parameter_values[1] = 7.87; });
  check("parameter v", [](RunSpec& s) { s.parameter_names[2] = "v"; });
  check("data type (float32, now float64)", [](RunSpec& s) { s.data_type = DataType::kFloat64; });
  check("tile size (8, now 16)", [](RunSpec& s) { s.plan = plan_tiles(s.plan.matrices, 16); });
  check("layout", [](RunSpec& s) { s.layout = DatasetLayout::kCnnGp; });
  check("content", [](RunSpec& s) { s.with_kernel = false; });
  check("upstream", [](RunSpec& s) { s.upstream_hash[3] = 'b'; });
  check("instruction set (TEST, now AVX2)", [](RunSpec& s) { s.instruction_set = "AVX2"; });
  check("numerics version", [](RunSpec& s) { ++s.numerics_version; });
  const auto sharded = [&] {
    RunOptions options = for_shard(0, 2);
    options.mode = StartMode::kResume;
    RunWriter(out, spec, options);
  };
  CHECK(mentions(error_of(sharded), "shard"));
  run(out, spec, with_mode(StartMode::kResume));
  CHECK(read_bytes(out) == expected_bytes(spec));
}

TEST_CASE("label order is part of the inputs") {
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  RunSpec spec = kernel_spec();
  interrupt_after(out, spec, 5);
  std::swap(spec.sets[0].labels[3], spec.sets[0].labels[4]);
  const Error error = error_of([&] { RunWriter(out, spec, with_mode(StartMode::kResume)); });
  CHECK(error.kind() == ErrorKind::kResumeRefused);
  CHECK(mentions(error, "labels of train"));
}

TEST_CASE("a tile with an entry that is not finite is refused with its place") {
  const TemporaryFolder folder;
  RunSpec spec = kernel_spec();
  RunWriter writer(folder.file("K.h5"), spec);
  const Tile& tile = spec.plan.tiles[1];  // rows 0:8, columns 8:16
  std::vector<float> values(64, 1.0F);
  values[2 * 8 + 3] = std::numeric_limits<float>::infinity();
  TileResult result;
  result.tile = tile;
  result.data_type = DataType::kFloat32;
  result.kernel = std::as_bytes(std::span(values));
  const Error error = error_of([&] { writer.write(result); });
  CHECK(error.kind() == ErrorKind::kOther);
  CHECK(mentions(error, "Kxx[2, 11]"));
  CHECK(mentions(error, "float64"));
}

TEST_CASE("a flipped byte in any position of the journal is detected") {
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  const RunSpec spec = jacobian_spec();
  interrupt_after(out, spec, 4);
  const std::vector<char> journal = read_bytes(RunWriter::journal_path(out));
  const std::vector<char> partial = read_bytes(RunWriter::partial_path(out));
  const std::size_t records = journal.size() - 4 * 32;
  Index refused = 0, dropped = 0;
  for (std::size_t position = 0; position < journal.size(); ++position) {
    write_bytes(RunWriter::journal_path(out), journal);
    flip_byte(RunWriter::journal_path(out), position);
    if (position < records) {
      const Error error = error_of([&] { RunWriter(out, spec, with_mode(StartMode::kResume)); });
      refused += error.kind() == ErrorKind::kResumeRefused;
    } else {
      // The record and those behind it are not believed.
      const RunWriter writer(out, spec, with_mode(StartMode::kResume));
      const auto first_bad = static_cast<Index>((position - records) / 32);
      dropped += writer.tiles_to_do().front() == first_bad;
    }
    CHECK(read_bytes(RunWriter::partial_path(out)) == partial);
  }
  CHECK(refused == static_cast<Index>(records));
  CHECK(dropped == 4 * 32);
  MESSAGE(journal.size(), " flipped bytes of a journal: ", refused, " refused, ", dropped,
          " dropped with their records");
}

TEST_CASE("a flipped byte in a finished tile or its mirror image is detected and computed again") {
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  const RunSpec spec = gradient_spec();
  interrupt_after(out, spec, 36);
  const std::vector<char> partial = read_bytes(RunWriter::partial_path(out));
  const hdf5::File file(RunWriter::partial_path(out));
  const auto first =
      static_cast<std::size_t>(file.dataset("Kxx").number_attribute("offset")->at(0));
  Index detected = 0, tried = 0;
  for (std::size_t position = first; position < first + 64 * 64 * 4; position += 97, ++tried) {
    write_bytes(RunWriter::partial_path(out), partial);
    flip_byte(RunWriter::partial_path(out), position);
    detected += RunWriter(out, spec, with_mode(StartMode::kResume)).num_damaged() == 1;
  }
  CHECK(detected == tried);
  MESSAGE(tried, " flipped bytes of finished tiles, ", detected, " detected");
  run(out, spec, with_mode(StartMode::kResume));
  CHECK(read_bytes(out) == expected_bytes(spec));
}

TEST_CASE("damaged metadata of an unfinished file is repaired on resuming") {
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  const RunSpec spec = kernel_spec();
  interrupt_after(out, spec, 5);
  flip_byte(RunWriter::partial_path(out), 3);  // HDF5's signature
  run(out, spec, with_mode(StartMode::kResume));
  CHECK(read_bytes(out) == expected_bytes(spec));
}

TEST_CASE("a missing or cut partial file is refused") {
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  const RunSpec spec = kernel_spec();
  interrupt_after(out, spec, 5);
  std::filesystem::resize_file(RunWriter::partial_path(out), 1000);
  CHECK(mentions(error_of([&] { RunWriter(out, spec, with_mode(StartMode::kResume)); }),
                 "1000 bytes"));
  std::filesystem::remove(RunWriter::partial_path(out));
  const Error error = error_of([&] { RunWriter(out, spec, with_mode(StartMode::kResume)); });
  CHECK(error.kind() == ErrorKind::kResumeRefused);
  CHECK(mentions(error, "missing"));
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
  for (const Index tile : writer.tiles_to_do()) {
    for (int i = 0; i < 14; ++i) poll();
    deliver(spec, tile, writer);
  }
  writer.commit();
  poll();
  CHECK(wrong == 0);
  CHECK(nan > 0);
  CHECK(final >= 61 * 61);
  MESSAGE("1009 polls: ", nan, " NaN, ", final, " final, ", wrong, " wrong");
}

TEST_CASE("shares merge into the bytes of one run, for any number and order") {
  for (const RunSpec& spec : {kernel_spec(), gradient_spec(), jacobian_spec()}) {
    const std::vector<char> expected = expected_bytes(spec);
    for (const Index count : {1, 2, 3, 7}) {
      const TemporaryFolder folder;
      std::vector<std::string> paths;
      for (Index i = 0; i < count; ++i) {
        paths.push_back(folder.file("share" + std::to_string(i)));
        run(paths.back(), spec, for_shard(i, count));
      }
      std::ranges::rotate(paths, paths.begin() + static_cast<std::ptrdiff_t>(count / 2));
      merge_shards(folder.file("K.h5"), paths);
      CHECK(read_bytes(folder.file("K.h5")) == expected);
    }
  }
}

TEST_CASE("more shares than tiles leave some empty, and still merge") {
  const TemporaryFolder folder;
  RunSpec spec = gradient_spec();
  spec.plan = plan_tiles(spec.plan.matrices, 61);
  std::vector<std::string> paths;
  for (Index i = 0; i < 3; ++i) {
    paths.push_back(folder.file("share" + std::to_string(i)));
    run(paths.back(), spec, for_shard(i, 3));
  }
  merge_shards(folder.file("K.h5"), paths);
  CHECK(read_bytes(folder.file("K.h5")) == expected_bytes(spec));
}

TEST_CASE("a share is interrupted and resumed like a run") {
  const TemporaryFolder folder;
  const RunSpec spec = gradient_spec();
  const std::string out = folder.file("share1");
  {
    RunWriter writer(out, spec, for_shard(1, 2));
    CHECK(writer.tiles_to_do().front() > 0);
    deliver(spec, writer.tiles_to_do().front(), writer);
    writer.interrupt();
  }
  RunOptions options = for_shard(1, 2);
  options.mode = StartMode::kResume;
  run(out, spec, options);
  CHECK(read_bytes(out) == expected_bytes(spec, Shard{1, 2}));
}

TEST_CASE("missing, double, foreign, unfinished and damaged shares are named") {
  const TemporaryFolder folder;
  const RunSpec spec = kernel_spec();
  const std::string a = folder.file("a"), b = folder.file("b"), c = folder.file("c");
  run(a, spec, for_shard(0, 3));
  run(b, spec, for_shard(1, 3));
  const auto refused = [&](const std::vector<std::string>& paths, const std::string& text) {
    const Error error = error_of([&] { merge_shards(folder.file("K.h5"), paths); });
    CHECK_MESSAGE(error.kind() == ErrorKind::kPartMissing, error.what());
    CHECK_MESSAGE(mentions(error, text), error.what());
    CHECK_FALSE(std::filesystem::exists(folder.file("K.h5")));
  };
  refused({a, b}, "missing: share 2/3");
  refused({a, b, c}, c);
  refused({a, b, a}, "overlap");
  interrupt_after(folder.file("whole"), spec, 72);
  refused({a, b, RunWriter::partial_path(folder.file("whole"))}, "whole");
  RunSpec other = spec;
  other.parameter_names = {"w"};
  other.parameter_values = {1};
  run(c, other, for_shard(2, 3));
  refused({a, b, c}, "parameter w");
  std::filesystem::remove(c);
  run(c, spec, for_shard(2, 4));
  refused({a, b, c}, "4");
  std::filesystem::remove(c);
  run(c, spec, for_shard(2, 3));
  const auto places = hdf5::File(c).dataset("Kt_diag").number_attribute("offset");
  flip_byte(c, static_cast<std::size_t>(places->at(0)));
  const Error error = error_of([&] { merge_shards(folder.file("K.h5"), {a, b, c}); });
  CHECK(error.kind() == ErrorKind::kPartMissing);
  CHECK(mentions(error, c + ": is damaged"));
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
    } catch (const DataError&) {
      ++refused;
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
