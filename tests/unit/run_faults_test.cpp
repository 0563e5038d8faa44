// Kills, power cuts and failing calls at every point of a run: nothing that was committed is lost,
// and the resumed run ends in the same bytes. GRAMTILE_LONG=1 makes 600 power cuts and 200 kills of
// it; GRAMTILE_POWER_CUTS and GRAMTILE_KILLS set the numbers one by one.
#include <doctest/doctest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <random>

#include "engine/core/errors.hpp"
#include "io/run/write/run_writer.hpp"
#include "tests/support/faulty_file_system.hpp"
#include "tests/support/power_cut_file_system.hpp"
#include "tests/support/run_fixture.hpp"
#include "tests/support/short_form.hpp"

namespace gramtile::test::run_faults_test {

namespace {

RunOptions options_for(FileSystem& system, StartMode mode = StartMode::kCreate) {
  RunOptions options;
  options.mode = mode;
  options.file_system = &system;
  options.tiles_per_commit = 8;
  options.seconds_per_commit = 1000;  // calls come in the same order every time
  return options;
}

/// Calls of an undisturbed run.
Index count_calls(const RunSpec& spec) {
  const TemporaryFolder folder;
  FaultyFileSystem system;
  Promise promise;
  run_to_end(folder.file("K.h5"), spec, options_for(system), promise);
  return system.num_calls();
}

/// Resumes without faults. True when nothing promised was lost and the bytes are right.
bool resumes_to(const std::string& out, const RunSpec& spec, const Promise& before,
                const std::vector<char>& expected) {
  FaultyFileSystem system;
  {
    const RunWriter writer(out, spec, options_for(system, StartMode::kResume));
    const Index done = writer.num_tiles() - static_cast<Index>(writer.tiles_to_do().size());
    if (writer.num_damaged() > 0 || (!writer.already_finished() && done < before.committed_tiles))
      return false;
  }
  Promise promise;
  run_to_end(out, spec, options_for(system, StartMode::kResume), promise);
  return read_bytes(out) == expected;
}

/// True when the output exists only as a whole.
bool no_half_output(const std::string& out, const std::vector<char>& expected) {
  return !std::filesystem::exists(out) || read_bytes(out) == expected;
}

}  // namespace

TEST_CASE("killed at every file call, a run resumes to identical bytes") {
  for (const RunSpec& spec : {campaign_kernel_spec(), campaign_gradient_spec()}) {
    const std::vector<char> expected = expected_bytes(spec);
    const Index num_calls = count_calls(spec);
    Index tried = 0, identical = 0;
    for (Index k = 1; k <= num_calls; k += kill_step(), ++tried) {
      const TemporaryFolder folder;
      const std::string out = folder.file("K.h5");
      FaultyFileSystem system;
      system.plan(k, Fault::kDie);
      Promise promise;
      CHECK_THROWS_AS(run_to_end(out, spec, options_for(system), promise), Error);
      identical += no_half_output(out, expected) && resumes_to(out, spec, promise, expected);
    }
    CHECK(identical == tried);
    MESSAGE(spec.plan.tiles.size(), " tiles, killed at ", tried, " of ", num_calls,
            " calls: ", identical, " identical");
  }
}

TEST_CASE("killed at every file call of a resumed run, the next one still ends the same") {
  const RunSpec spec = campaign_gradient_spec();
  const std::vector<char> expected = expected_bytes(spec);
  const Index half = count_calls(spec) / 2;
  Index tried = 0, identical = 0;
  for (Index k = 1;; k += kill_step()) {
    const TemporaryFolder folder;
    const std::string out = folder.file("K.h5");
    FaultyFileSystem first, second;
    first.plan(half, Fault::kDie);
    second.plan(k, Fault::kDie);
    Promise promise;
    CHECK_THROWS_AS(run_to_end(out, spec, options_for(first), promise), Error);
    try {
      run_to_end(out, spec, options_for(second, StartMode::kResume), promise);
    } catch (const Error&) {
    }
    if (!second.struck()) break;
    ++tried;
    identical += resumes_to(out, spec, promise, expected);
  }
  CHECK(tried > many_or_few(100, 20) / kill_step());
  CHECK(identical == tried);
  MESSAGE("a resumed run killed at ", tried, " calls: ", identical, " identical");
}

TEST_CASE("a run killed while it overwrites leaves the old output or the new one") {
  const RunSpec spec = campaign_gradient_spec();
  const std::vector<char> expected = expected_bytes(spec), old{'o', 'l', 'd'};
  Index tried = 0, right = 0;
  for (Index k = 1;; ++k) {
    const TemporaryFolder folder;
    const std::string out = folder.file("K.h5");
    {  // an unfinished run is in the way as well
      RunWriter unfinished(out, spec);
      deliver(spec, 0, unfinished);
      unfinished.interrupt();
    }
    write_bytes(out, old);
    FaultyFileSystem system;
    system.plan(k, Fault::kDie);
    Promise promise;
    try {
      run_to_end(out, spec, options_for(system, StartMode::kOverwrite), promise);
    } catch (const Error&) {
    }
    if (!system.struck()) break;
    ++tried;
    const std::vector<char> left = read_bytes(out);
    right += left == old || left == expected;
  }
  CHECK(right == tried);
  MESSAGE("overwriting, killed at each of ", tried, " calls: ", right, " kept old or new");
}

TEST_CASE("at every call, a failure has the right kind and path, and nothing is lost") {
  struct Case {
    Fault fault;
    int error_number;
    ErrorKind kind;
  };
  const RunSpec spec = campaign_kernel_spec();
  const std::vector<char> expected = expected_bytes(spec);
  const Index num_calls = count_calls(spec);
  for (const Case& c :
       {Case{Fault::kFail, EIO, ErrorKind::kIo}, Case{Fault::kFail, ENOSPC, ErrorKind::kNoSpace},
        Case{Fault::kFailForGood, ENOSPC, ErrorKind::kNoSpace},
        Case{Fault::kFailForGood, EIO, ErrorKind::kIo}}) {
    Index tried = 0, failed = 0, right = 0;
    for (Index k = 1; k <= num_calls; k += kill_step(), ++tried) {
      const TemporaryFolder folder;
      const std::string out = folder.file("K.h5");
      FaultyFileSystem system;
      system.plan(k, c.fault, c.error_number);
      Promise promise;
      try {
        run_to_end(out, spec, options_for(system), promise);
      } catch (const Error& error) {
        ++failed;
        CHECK_MESSAGE(error.kind() == c.kind, "call ", k, ": ", error.what());
        const bool names_path =
            std::string(error.what()).find(folder.path().string()) != std::string::npos;
        CHECK_MESSAGE(names_path, error.what());
      }
      right += no_half_output(out, expected) && resumes_to(out, spec, promise, expected);
    }
    CHECK(failed == tried);
    CHECK(right == tried);
    MESSAGE("errno ", c.error_number, std::string(c.fault == Fault::kFail ? " once" : " for good"),
            " at ", tried, " of ", num_calls, " calls: ", failed, " reported, ", right, " resumed");
  }
}

TEST_CASE("a write that finds no space says how many bytes it needed") {
  const RunSpec spec = campaign_kernel_spec();
  const Index num_calls = count_calls(spec);
  Index with_bytes = 0;
  for (Index k = 1; k <= num_calls; ++k) {
    const TemporaryFolder folder;
    FaultyFileSystem system;
    system.plan(k, Fault::kFail, ENOSPC);
    Promise promise;
    try {
      run_to_end(folder.file("K.h5"), spec, options_for(system), promise);
    } catch (const Error& error) {
      with_bytes += std::string(error.what()).find(" bytes") != std::string::npos;
    }
  }
  // At least: reserving the file, its writes, 72 tiles with 28 mirror images, 9 appends to the
  // journal; in the short form 20 with 6, 3 appends.
  CHECK(with_bytes >= many_or_few(72 + 28 + 9, 20 + 6 + 3));
}

TEST_CASE("short and interrupted calls at every point change nothing") {
  const RunSpec spec = campaign_kernel_spec();
  const std::vector<char> expected = expected_bytes(spec);
  const Index num_calls = count_calls(spec);
  for (const Fault fault : {Fault::kShort, Fault::kInterrupt}) {
    Index tried = 0, identical = 0, refused = 0;
    for (Index k = 1; k <= num_calls; k += kill_step(), ++tried) {
      const TemporaryFolder folder;
      const std::string out = folder.file("K.h5");
      FaultyFileSystem system;
      system.plan(k, fault);
      Promise promise;
      try {
        run_to_end(out, spec, options_for(system), promise);
      } catch (const IoError& error) {
        // A sync is never repeated: the kernel may have dropped what it could not write.
        ++refused;
        const std::string message = error.what();
        CHECK_MESSAGE(message.find("sync") != std::string::npos, message);
        CHECK(resumes_to(out, spec, promise, expected));
      }
      identical += read_bytes(out) == expected;
    }
    CHECK(identical == tried);
    CHECK((fault == Fault::kInterrupt || refused == 0));
    MESSAGE(std::string(fault == Fault::kShort ? "short" : "interrupted"), " at ", tried, " of ",
            num_calls, " calls: ", identical, " identical, ", refused,
            " interrupted syncs reported");
  }
}

// --- power cuts ---------------------------------------------------------------------------------

namespace {

/// Cuts the power one to three times at random calls, lets the disk lose, keep or tear what was not
/// synced, resumes to the end. True when the bytes are right and every promise was kept.
bool survives_power_cuts(const RunSpec& spec, const std::vector<char>& expected, Index num_calls,
                         ProtocolFault fault, std::uint64_t seed) {
  std::mt19937_64 random(seed);
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  Promise promise;
  const auto num_cuts = 1 + random() % 3;
  for (std::uint64_t cut = 0; cut < num_cuts && !promise.finished; ++cut) {
    const auto at = 1 + static_cast<Index>(random() % static_cast<std::uint64_t>(num_calls));
    PowerCutFileSystem system(folder.path().string(), at, fault);
    const Index committed_before = promise.committed_tiles;
    try {
      promise.committed_tiles = 0;
      run_to_end(out, spec, options_for(system, StartMode::kResume), promise);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kIo) return false;
    }
    if (promise.damaged_tiles > 0) return false;
    promise.committed_tiles = std::max(promise.committed_tiles, committed_before);
    system.restore(random);
    if (!no_half_output(out, expected)) return false;
  }
  try {
    return resumes_to(out, spec, promise, expected);
  } catch (const Error&) {
    return false;
  }
}

Index count_survivors(const RunSpec& spec, Index num_cuts, ProtocolFault fault) {
  const std::vector<char> expected = expected_bytes(spec);
  const Index num_calls = count_calls(spec);
  Index survivors = 0;
  for (Index i = 0; i < num_cuts; ++i)
    survivors += survives_power_cuts(spec, expected, num_calls, fault,
                                     static_cast<std::uint64_t>(i) * 7919 + 1);
  return survivors;
}

}  // namespace

TEST_CASE("whatever a power cut leaves of what was not synced, the run ends in identical bytes") {
  const Index num_cuts = campaign_size("GRAMTILE_POWER_CUTS", 100, 600);
  const Index kernel = count_survivors(campaign_kernel_spec(), num_cuts / 2, ProtocolFault::kNone);
  const Index gradient =
      count_survivors(campaign_gradient_spec(), num_cuts - num_cuts / 2, ProtocolFault::kNone);
  CHECK(kernel + gradient == num_cuts);
  MESSAGE(num_cuts, " simulated power cuts: ", kernel + gradient,
          " identical, none lost a promise");
}

TEST_CASE("a protocol with a planted fault does not survive the power cuts") {
  const Index num_cuts = campaign_size("GRAMTILE_POWER_CUTS", 60, 600);
  const std::pair<ProtocolFault, std::string> faults[] = {
      {ProtocolFault::kJournalBeforeData, "journal before data"},
      {ProtocolFault::kNoSyncOfData, "no sync of data"},
      {ProtocolFault::kNoSyncBeforeRename, "no sync before rename"}};
  for (const auto& [fault, name] : faults) {
    const Index survivors = count_survivors(campaign_kernel_spec(), num_cuts, fault);
    CHECK(survivors < num_cuts);
    MESSAGE(name, ": caught in ", num_cuts - survivors, " of ", num_cuts, " power cuts");
  }
}

// --- real kills ---------------------------------------------------------------------------------

namespace {

/// A child that runs to the end, or until it is killed after `microseconds`. True when it ended.
bool child_ends(const std::string& out, const RunSpec& spec, unsigned microseconds) {
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    try {
      RunOptions options;
      options.mode = StartMode::kResume;
      options.tiles_per_commit = 4;
      Promise promise;
      run_to_end(out, spec, options, promise);
      _exit(promise.damaged_tiles == 0 ? 0 : 1);
    } catch (...) {
      _exit(2);
    }
  }
  usleep(microseconds);
  kill(child, SIGKILL);
  int status = 0;
  waitpid(child, &status, 0);
  if (WIFEXITED(status)) CHECK(WEXITSTATUS(status) == 0);
  return WIFEXITED(status);
}

}  // namespace

TEST_CASE("real kills at random moments lose nothing") {
  const Index wanted = campaign_size("GRAMTILE_KILLS", 20, 200);
  std::mt19937_64 random(11);
  Index kills = 0, runs = 0, identical = 0;
  for (; runs < 2 || (kills < wanted && runs < 4 * wanted); ++runs) {
    const RunSpec spec = runs % 2 == 0 ? campaign_kernel_spec() : campaign_gradient_spec();
    const TemporaryFolder folder;
    const std::string out = folder.file("K.h5");
    // More time from try to try, so that even an instrumented build ends.
    for (unsigned microseconds = 4'000;; microseconds += 4'000, ++kills)
      if (child_ends(out, spec, static_cast<unsigned>(random() % microseconds))) break;
    identical += read_bytes(out) == expected_bytes(spec);
  }
  CHECK(identical == runs);
  CHECK(kills > 0);
  MESSAGE(kills, " kills over ", runs, " runs: ", identical, " identical");
}

}  // namespace gramtile::test::run_faults_test
