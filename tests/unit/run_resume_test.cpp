// Beginning, interrupting, resuming and overwriting runs: what goes on, and what is refused.
#include <doctest/doctest.h>

#include <filesystem>
#include <iterator>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/hdf5/hdf5.hpp"
#include "io/run/read/run_reader.hpp"
#include "io/run/write/run_writer.hpp"
#include "tests/support/faulty_file_system.hpp"
#include "tests/support/run_fixture.hpp"

namespace gramtile::test::run_resume_test {

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

TEST_CASE("what a creation that was cut short left behind is in nobody's way") {
  const RunSpec spec = kernel_spec();
  const std::vector<char> expected = expected_bytes(spec), junk(expected.size() + 100'000, 'x');
  for (const StartMode mode : {StartMode::kCreate, StartMode::kResume, StartMode::kOverwrite}) {
    const TemporaryFolder folder;
    const std::string out = folder.file("K.h5");
    // Longer than what comes now, so that anything left of it would show.
    write_bytes(RunWriter::partial_path(out) + ".new", junk);
    write_bytes(RunWriter::journal_path(out) + ".new", junk);
    run(out, spec, with_mode(mode));
    CHECK(read_bytes(out) == expected);
    const auto files = std::filesystem::directory_iterator(folder.path());
    CHECK(std::distance(begin(files), end(files)) == 1);
  }
}

TEST_CASE(
    "OUT.partial can be opened from the moment that it exists, whenever a creation is killed") {
  const RunSpec spec = kernel_spec();
  Index seen = 0, opened = 0;
  for (Index k = 1;; ++k) {
    const TemporaryFolder folder;
    const std::string out = folder.file("K.h5");
    FaultyFileSystem system;
    system.plan(k, Fault::kDie);
    RunOptions options;
    options.file_system = &system;
    try {
      const RunWriter writer(out, spec, options);
    } catch (const Error&) {
    }
    if (!system.struck()) break;
    if (!std::filesystem::exists(RunWriter::partial_path(out))) continue;
    ++seen;
    opened += !RunReader(RunWriter::partial_path(out)).complete();
  }
  CHECK(seen > 0);
  CHECK(opened == seen);
  MESSAGE("a creation killed at each of its calls: OUT.partial was there ", seen, " times, ",
          opened, " times it could be read");
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
  check("content", [](RunSpec& s) { s.content = content_of(false, Derivative::kGradient); });
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

TEST_CASE("a run of another instruction set is refused with the way to continue it") {
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  RunSpec spec = kernel_spec();
  spec.instruction_set = "AVX3";
  interrupt_after(out, spec, 10);
  spec.instruction_set = "AVX2";
  const Error error = error_of([&] { run(out, spec, with_mode(StartMode::kResume)); });
  CHECK(error.kind() == ErrorKind::kResumeRefused);
  CHECK(mentions(error, "instruction set (AVX3, now AVX2)"));
  CHECK(mentions(error, "GRAMTILE_TARGET=AVX3"));
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

}  // namespace gramtile::test::run_resume_test
