// Files of several instruction sets: runs that went on with another one, and shares of unlike ones.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/hdf5/hdf5.hpp"
#include "io/run/read/run_reader.hpp"
#include "io/run/spec/run_image.hpp"
#include "io/run/write/merge_shards.hpp"
#include "io/run/write/run_writer.hpp"
#include "tests/support/faulty_file_system.hpp"
#include "tests/support/run_fixture.hpp"
#include "tests/support/short_form.hpp"

namespace gramtile::test::run_mixture_test {

namespace {

using Names = std::vector<std::string>;

RunSpec with_set(RunSpec spec, const std::string& name) {
  spec.instruction_set = name;
  return spec;
}

/// Tiles of 64 KiB and more begin at pages: a spec with such ones.
RunSpec large_spec() {
  RunSpec spec = kernel_spec();
  for (MatrixSpec& matrix : spec.plan.matrices) matrix.num_rows *= 10;
  spec.plan.matrices[0].num_columns *= 10;
  spec.plan.matrices[1].num_columns *= 10;
  for (ExampleSet& set : spec.sets) set.num_examples *= 10;
  spec.sets[0].labels.clear();
  spec.plan = plan_tiles(spec.plan.matrices, 16);
  return spec;
}

std::vector<RunSpec> all_specs() {
  return {kernel_spec(), gradient_spec(), jacobian_spec(), large_spec()};
}

RunOptions mixing(StartMode mode = StartMode::kResume) {
  RunOptions options = with_mode(mode);
  options.mixed_instruction_sets = true;
  return options;
}

/// Continues with `spec` and delivers the next `count` tiles.
void go_on(const std::string& out, const RunSpec& spec, Index count) {
  RunWriter writer(out, spec, mixing());
  const std::vector<Index> tiles = writer.tiles_to_do();
  for (Index i = 0; i < count; ++i) deliver(spec, tiles[static_cast<std::size_t>(i)], writer);
  writer.interrupt();
}

/// A file whose tiles are those of an undisturbed run, made by `makers` ("AVX3" of tile 0, …).
void check_file(const std::string& path, const RunSpec& spec, const Names& makers) {
  const RunReader reader(path);
  CHECK(reader.complete());
  const MetadataCheck metadata = reader.check_metadata();
  CHECK_MESSAGE(metadata.passed, metadata.note);
  const TemporaryFolder folder;
  RunOptions options;
  options.shard = reader.shard();
  run(folder.file("plain"), spec, options);
  const RunReader plain(folder.file("plain"));
  REQUIRE(reader.tiles() == plain.tiles());
  REQUIRE(reader.tiles().size() == makers.size());
  Index same = 0;
  for (std::size_t i = 0; i < makers.size(); ++i) {
    const Index t = reader.tiles()[i];
    same += reader.instruction_set(t) == makers[i] && reader.mirror_matches(t) &&
            reader.actual_hash(t) == plain.stored_hash(t) &&
            reader.stored_hash(t) == plain.stored_hash(t);
  }
  CHECK(same == static_cast<Index>(makers.size()));
  CHECK(reader.vector() == plain.vector());
}

Names repeated(const std::vector<std::pair<std::string, Index>>& runs) {
  Names names;
  for (const auto& [name, count] : runs)
    names.insert(names.end(), static_cast<std::size_t>(count), name);
  return names;
}

RunOptions over(FileSystem& system, const RunOptions& given) {
  RunOptions options = given;
  options.file_system = &system;
  options.tiles_per_commit = 8;
  options.seconds_per_commit = 1000;
  return options;
}

}  // namespace

TEST_CASE("a mixture leaves every region of a file where it is without one") {
  for (const RunSpec& plain : all_specs()) {
    for (const std::optional<Shard> shard : {std::optional<Shard>(), std::optional(Shard{1, 3})}) {
      const hdf5::FileImage expected = build_image(plain, shard);
      for (const std::size_t num_names : {2, 3, 40}) {
        RunSpec mixed = plain;
        for (std::size_t i = 0; i < num_names; ++i)
          mixed.mixture.names.push_back(std::string(i * 50, 'x') + std::to_string(i));
        const hdf5::FileImage image = build_image(mixed, shard);
        REQUIRE(image.reserved().size() == expected.reserved().size());
        for (std::size_t i = 0; i < image.reserved().size(); ++i) {
          const hdf5::RawData &a = image.reserved()[i], &b = expected.reserved()[i];
          CHECK(a.dataset == b.dataset);
          CHECK(a.offset == b.offset);
          CHECK(a.num_bytes == b.num_bytes);
        }
      }
    }
  }
}

TEST_CASE("a run goes on with other instruction sets, and its file says which made each tile") {
  for (const RunSpec& spec : all_specs()) {
    const TemporaryFolder folder;
    const std::string out = folder.file("K.h5");
    const auto num_tiles = static_cast<Index>(spec.plan.tiles.size());
    interrupt_after(out, with_set(spec, "AVX3"), 2);
    go_on(out, with_set(spec, "SCALAR"), 1);
    go_on(out, with_set(spec, "AVX3"), 1);
    {
      const RunReader unfinished(RunWriter::partial_path(out));
      CHECK_FALSE(unfinished.complete());
      CHECK(unfinished.instruction_set(0).empty());
      CHECK(unfinished.check_metadata().passed);
    }
    run(out, with_set(spec, "AVX2"), mixing());
    check_file(out, with_set(spec, "AVX3"),
               repeated({{"AVX3", 2}, {"SCALAR", 1}, {"AVX3", 1}, {"AVX2", num_tiles - 4}}));
    const hdf5::File file(out);
    CHECK(file.strings_attribute("instruction_sets") == Names{"AVX3", "SCALAR", "AVX2"});
    CHECK(file.string_attribute("instruction_set") == "AVX3, SCALAR, AVX2");
    CHECK(file.number_attribute("format_version")->at(0) == 3);
    CHECK_FALSE(std::filesystem::exists(RunWriter::journal_path(out)));
  }
}

TEST_CASE("a share goes on with another instruction set") {
  const TemporaryFolder folder;
  const std::string out = folder.file("s1");
  const RunSpec spec = kernel_spec();
  RunOptions options = for_shard(1, 2);
  {
    RunWriter writer(out, with_set(spec, "AVX3"), options);
    deliver(spec, writer.tiles_to_do().front(), writer);
    writer.interrupt();
  }
  options.mode = StartMode::kResume;
  options.mixed_instruction_sets = true;
  run(out, with_set(spec, "AVX2"), options);
  const Index num_tiles = shard_of(spec.plan, 1, 2).size();
  check_file(out, with_set(spec, "AVX3"), repeated({{"AVX3", 1}, {"AVX2", num_tiles - 1}}));
}

TEST_CASE("where one instruction set made everything, mixing changes no byte") {
  for (const RunSpec& spec : all_specs()) {
    const TemporaryFolder folder;
    const std::string out = folder.file("K.h5");
    run(out, spec, mixing(StartMode::kCreate));
    CHECK(read_bytes(out) == expected_bytes(spec));
    std::filesystem::remove(out);
    interrupt_after(out, spec, 3);
    run(out, spec, mixing());
    CHECK(read_bytes(out) == expected_bytes(spec));
  }
}

TEST_CASE("a mixture is continued and accepted only on request, by a message that says how") {
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  const RunSpec first = with_set(kernel_spec(), "AVX3"), second = with_set(kernel_spec(), "AVX2");
  interrupt_after(out, first, 3);
  const auto refused = [&](const RunSpec& spec, const std::vector<std::string>& words) {
    const Error error = error_of([&] { RunWriter(out, spec, with_mode(StartMode::kResume)); });
    CHECK(error.kind() == ErrorKind::kResumeRefused);
    for (const std::string& word : words) CHECK_MESSAGE(mentions(error, word), error.what());
  };
  const Names advice{"--mixed-instruction-sets", "GRAMTILE_TARGET"};
  refused(second, {advice[0], advice[1], "AVX3, now AVX2"});
  go_on(out, second, 3);
  for (const RunSpec& spec : {first, second}) refused(spec, {advice[0], advice[1], "AVX3, AVX2"});
  run(out, second, mixing());
  for (const RunSpec& spec : {first, second}) {
    refused(spec, {"AVX3, AVX2"});
    CHECK(RunWriter(out, spec, mixing()).already_finished());
  }
  RunSpec other = second;
  other.sets[0].labels[3] = 5;
  CHECK(mentions(error_of([&] { RunWriter(out, other, mixing()); }), "labels of train"));
}

TEST_CASE("what the first start was made of is asked for in a mixture too") {
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  interrupt_after(out, with_set(kernel_spec(), "AVX3"), 3);
  RunSpec other = with_set(kernel_spec(), "AVX2");
  other.sets[0].hash = std::string(32, 'b');
  const Error error = error_of([&] { RunWriter(out, other, mixing()); });
  CHECK(error.kind() == ErrorKind::kResumeRefused);
  CHECK(mentions(error, "pixels of train"));
}

TEST_CASE("killed at every file call while it becomes a mixture and after, a run loses nothing") {
  const RunSpec spec = campaign_gradient_spec();
  const RunSpec first = with_set(spec, "AVX3"), second = with_set(spec, "AVX2");
  const auto num_tiles = static_cast<Index>(spec.plan.tiles.size());
  std::vector<char> expected;
  Index tried = 0, right = 0, torn = 0;
  for (Index k = 0;; k += k == 0 ? 1 : kill_step()) {
    const TemporaryFolder folder;
    const std::string out = folder.file("K.h5");
    interrupt_after(out, first, 5);
    FaultyFileSystem system;
    if (k > 0) system.plan(k, Fault::kDie);
    try {
      Promise promise;
      run_to_end(out, second, over(system, mixing()), promise);
    } catch (const Error&) {
    }
    if (k == 0) {  // an undisturbed one
      expected = read_bytes(out);
      check_file(out, first, repeated({{"AVX3", 5}, {"AVX2", num_tiles - 5}}));
      continue;
    }
    if (!system.struck()) break;
    ++tried;
    torn += std::filesystem::exists(RunWriter::journal_path(out) + ".new");
    if (!std::filesystem::exists(out)) {
      const RunWriter writer(out, second, mixing());
      CHECK(writer.num_damaged() == 0);
      CHECK(writer.num_tiles() - static_cast<Index>(writer.tiles_to_do().size()) >= 5);
    }
    run(out, second, mixing());
    right += read_bytes(out) == expected;
    CHECK_FALSE(std::filesystem::exists(RunWriter::journal_path(out)));
    CHECK_FALSE(std::filesystem::exists(RunWriter::journal_path(out) + ".new"));
  }
  CHECK((torn > 0 || kill_step() > 1));
  CHECK(tried > many_or_few(60, 7) / kill_step());
  CHECK(right == tried);
  MESSAGE(num_tiles, " tiles, killed at ", tried, " calls of a session with another ",
          "instruction set: ", right, " identical");
}

TEST_CASE("a session that is killed before the file is a mixture leaves the first one its run") {
  const RunSpec spec = campaign_kernel_spec();
  const RunSpec first = with_set(spec, "AVX3"), second = with_set(spec, "AVX2");
  const auto num_tiles = static_cast<Index>(spec.plan.tiles.size());
  const std::vector<char> expected = expected_bytes(first);
  Index pure = 0, mixed = 0;
  for (Index k = 1;; k += kill_step()) {
    const TemporaryFolder folder;
    const std::string out = folder.file("K.h5");
    interrupt_after(out, first, num_tiles);
    FaultyFileSystem system;
    system.plan(k, Fault::kDie);
    try {
      const RunWriter writer(out, second, over(system, mixing()));
    } catch (const Error&) {
    }
    if (!system.struck()) break;
    run(out, first, mixing());
    if (read_bytes(out) == expected) {
      ++pure;
    } else {
      ++mixed;
      check_file(out, first, repeated({{"AVX3", num_tiles}}));
    }
    CHECK_FALSE(std::filesystem::exists(RunWriter::journal_path(out) + ".new"));
  }
  CHECK(pure > 5 / kill_step());
  CHECK(mixed > 5 / kill_step());
}

TEST_CASE("shares of unlike instruction sets merge on request, in any order, mixed ones too") {
  for (const RunSpec& spec : all_specs()) {
    const TemporaryFolder folder;
    std::vector<std::string> paths;
    Names makers;
    for (Index i = 0; i < 3; ++i) {
      paths.push_back(folder.file("share" + std::to_string(i)));
      RunOptions options = for_shard(i, 3);
      const Index num_tiles = shard_of(spec.plan, i, 3).size();
      const std::string own = i == 1 ? "AVX3" : "AVX2";
      if (i == 2) {  // a mixture itself
        RunWriter writer(paths.back(), with_set(spec, "SCALAR"), options);
        deliver(spec, writer.tiles_to_do().front(), writer);
        writer.interrupt();
        options.mode = StartMode::kResume;
        options.mixed_instruction_sets = true;
        makers.push_back("SCALAR");
      }
      run(paths.back(), with_set(spec, own), options);
      while (static_cast<Index>(makers.size()) < shard_of(spec.plan, i, 3).start + num_tiles)
        makers.push_back(own);
    }
    const std::string out = folder.file("K.h5");
    for (const std::vector<std::string>& some :
         {std::vector{paths[0], paths[1], paths[2]}, std::vector{paths[2], paths[1], paths[0]}}) {
      const Error error = error_of([&] { merge_shards(out, some); });
      CHECK(error.kind() == ErrorKind::kPartMissing);
      CHECK(mentions(error, "--mixed-instruction-sets"));
      CHECK(mentions(error, "GRAMTILE_TARGET"));
    }
    merge_shards(out, paths, mixing(StartMode::kCreate));
    check_file(out, with_set(spec, "AVX2"), makers);
    CHECK(hdf5::File(out).strings_attribute("instruction_sets") == Names{"AVX2", "AVX3", "SCALAR"});
    const std::vector<char> bytes = read_bytes(out);
    std::ranges::reverse(paths);
    merge_shards(out, paths, mixing(StartMode::kOverwrite));
    CHECK(read_bytes(out) == bytes);
    merge_shards(out, paths, mixing(StartMode::kResume));  // it is there already
    CHECK(read_bytes(out) == bytes);
  }
}

TEST_CASE("a share that is itself a mixture merges on request only, also with its like") {
  const RunSpec spec = kernel_spec();
  const TemporaryFolder folder;
  std::vector<std::string> paths;
  for (Index i = 0; i < 2; ++i) {
    paths.push_back(folder.file("share" + std::to_string(i)));
    RunOptions options = for_shard(i, 2);
    { const RunWriter started(paths.back(), with_set(spec, "AVX3"), options); }
    options.mode = StartMode::kResume;
    options.mixed_instruction_sets = true;
    run(paths.back(), with_set(spec, "AVX2"), options);
  }
  const Error error = error_of([&] { merge_shards(folder.file("K.h5"), paths); });
  CHECK_MESSAGE(mentions(error, "several instruction sets (AVX3, AVX2)"), error.what());
  CHECK(mentions(error, "--mixed-instruction-sets"));
  // In the end one of them made every tile.
  merge_shards(folder.file("K.h5"), paths, mixing(StartMode::kCreate));
  CHECK(read_bytes(folder.file("K.h5")) == expected_bytes(with_set(spec, "AVX2")));
}

TEST_CASE("a merge of unlike shares resumes from every kill to the bytes of an undisturbed one") {
  const RunSpec spec = campaign_gradient_spec();
  const TemporaryFolder shares;
  std::vector<std::string> paths;
  for (Index i = 0; i < 2; ++i) {
    paths.push_back(shares.file(std::to_string(i)));
    run(paths.back(), with_set(spec, i == 0 ? "AVX3" : "AVX2"), for_shard(i, 2));
  }
  merge_shards(shares.file("K.h5"), paths, mixing(StartMode::kCreate));
  const std::vector<char> expected = read_bytes(shares.file("K.h5"));
  Index tried = 0, identical = 0;
  const Index step = many_or_few(1, 5) * kill_step();
  for (Index k = 1;; k += step) {
    const TemporaryFolder folder;
    const std::string out = folder.file("K.h5");
    FaultyFileSystem system;
    system.plan(k, Fault::kDie);
    try {
      merge_shards(out, paths, over(system, mixing(StartMode::kCreate)));
    } catch (const Error&) {
    }
    if (!system.struck()) break;
    ++tried;
    merge_shards(out, paths, mixing());
    identical += read_bytes(out) == expected;
  }
  CHECK(tried > many_or_few(60, 7) / kill_step());
  CHECK(identical == tried);
}

TEST_CASE("lists of makers that cannot be are refused") {
  // What a forger writes, or a fault of the writer would: the seal fits, the list does not.
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  RunSpec spec = with_set(kernel_spec(), "AVX3");
  spec.mixture.names = {"AVX3", "AVX2"};
  spec.mixture.by_tile.assign(72, 1);
  for (const std::int8_t wrong : {std::int8_t{2}, std::int8_t{100}, std::int8_t{-1}}) {
    RunSpec bad = spec;
    bad.mixture.by_tile[7] = wrong;
    run(out, bad, with_mode(StartMode::kOverwrite));
    CHECK(mentions(error_of([&] { RunReader{out}; }), "tile_instruction_set"));
  }
  RunSpec bad = spec;
  bad.mixture.names = {"AVX2", "AVX3"};
  run(out, bad, with_mode(StartMode::kOverwrite));
  CHECK(mentions(error_of([&] { RunReader{out}; }), "instruction_sets"));
  run(out, spec, with_mode(StartMode::kOverwrite));
  CHECK(RunReader(out).instruction_set(7) == "AVX2");
}

}  // namespace gramtile::test::run_mixture_test
