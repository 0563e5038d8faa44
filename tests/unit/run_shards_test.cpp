// Shares of a run, and merging them.
#include <doctest/doctest.h>

#include <algorithm>
#include <filesystem>

#include "engine/core/errors.hpp"
#include "io/hdf5/hdf5.hpp"
#include "io/run/read/run_reader.hpp"
#include "io/run/write/merge_shards.hpp"
#include "io/run/write/run_writer.hpp"
#include "tests/support/run_fixture.hpp"

namespace gramtile::test::run_shards_test {

TEST_CASE("shares merge into the bytes of one run, for any number and order") {
  for (const RunSpec& spec : {kernel_spec(), gradient_spec(), jacobian_spec(), made_up_spec()}) {
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

TEST_CASE("merging reports its progress in pairs, a resumed merge from what is there already") {
  const TemporaryFolder folder;
  const RunSpec spec = kernel_spec();
  const std::vector<std::string> paths{folder.file("a"), folder.file("b")};
  for (Index i = 0; i < 2; ++i) run(paths[static_cast<std::size_t>(i)], spec, for_shard(i, 2));
  Index total_pairs = 0;
  for (const Tile& tile : spec.plan.tiles) total_pairs += spec.plan.num_pairs(tile);
  struct Stopped {};
  std::vector<Index> reports;
  const auto merge = [&](StartMode mode, std::size_t stop_after) {
    reports.clear();
    RunOptions options = with_mode(mode);
    options.tiles_per_commit = 1;
    options.queue_bytes = 1;  // the writer is at most a tile behind
    merge_shards(folder.file("K.h5"), paths, options, [&](Index done, Index total) {
      CHECK(total == total_pairs);
      CHECK((reports.empty() || done > reports.back()));
      reports.push_back(done);
      if (reports.size() == stop_after) throw Stopped();
    });
  };
  CHECK_THROWS_AS(merge(StartMode::kCreate, 60), Stopped);
  CHECK(reports.front() == 0);
  const Index reached = reports.back();
  merge(StartMode::kResume, 0);
  CHECK(reports.front() > 0);
  CHECK(reports.front() <= reached);
  CHECK(reports.back() == total_pairs);
  CHECK(read_bytes(folder.file("K.h5")) == expected_bytes(spec));
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

}  // namespace gramtile::test::run_shards_test
