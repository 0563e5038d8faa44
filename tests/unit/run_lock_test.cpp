// One writer at a time, also where the file system has no locks or no renames that do not replace.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "io/run/write/lock_owner.hpp"
#include "io/run/write/run_writer.hpp"
#include "tests/support/forwarding_file_system.hpp"
#include "tests/support/run_fixture.hpp"

namespace gramtile::test::run_lock_test {

namespace {

namespace fs = std::filesystem;

/// flock fails with `error_number`, as on Lustre or NFS without a lock daemon.
class LocklessFileSystem final : public ForwardingFileSystem {
 public:
  explicit LocklessFileSystem(int error_number = ENOLCK) : error_number_(error_number) {}
  int lock(int) override { return -error_number_; }

 private:
  int error_number_;
};

RunOptions on(FileSystem& system, StartMode mode = StartMode::kCreate) {
  RunOptions options = with_mode(mode);
  options.file_system = &system;
  return options;
}

void write_text(const std::string& path, const std::string& text) {
  write_bytes(path, {text.begin(), text.end()});
}

std::string lock_path(const std::string& out) { return out + ".lock"; }

/// A process of this machine that has ended.
LockOwner ended_process() {
  int ends[2];
  REQUIRE(pipe(ends) == 0);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const std::string text = to_text(this_process());
    _exit(write(ends[1], text.data(), text.size()) == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  int status = 0;
  waitpid(child, &status, 0);
  std::string text(1000, '\0');
  text.resize(static_cast<std::size_t>(read(ends[0], text.data(), text.size())));
  close(ends[0]);
  close(ends[1]);
  return parse_lock_owner(text);
}

}  // namespace

TEST_CASE("without flock a run has OUT.lock, says so once, and ends in the same bytes") {
  const RunSpec spec = kernel_spec();
  for (const int error_number : {ENOSYS, ENOLCK, EOPNOTSUPP, EINVAL}) {
    LocklessFileSystem system(error_number);
    const TemporaryFolder folder;
    const std::string out = folder.file("K.h5");
    std::vector<std::string> said;
    RunOptions options = on(system);
    options.notice = [&](const std::string& text) { said.push_back(text); };
    {
      RunWriter writer(out, spec, options);
      CHECK(fs::exists(lock_path(out)));
      for (const Index t : writer.tiles_to_do()) deliver(spec, t, writer);
      writer.finish();
    }
    REQUIRE(said.size() == 1);
    CHECK(said[0].find(lock_path(out)) != std::string::npos);
    CHECK(read_bytes(out) == expected_bytes(spec));
    CHECK_FALSE(fs::exists(lock_path(out)));
  }
}

TEST_CASE("a failing flock that is not a missing one still ends the run") {
  LocklessFileSystem system(EIO);
  const TemporaryFolder folder;
  const Error error = error_of([&] { RunWriter(folder.file("K.h5"), kernel_spec(), on(system)); });
  CHECK(error.kind() == ErrorKind::kIo);
}

TEST_CASE("a second writer is kept out by OUT.lock, in every mode, with and without flock") {
  const RunSpec spec = kernel_spec();
  LocklessFileSystem lockless;
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  RunWriter first(out, spec, on(lockless));
  for (FileSystem* const system : {static_cast<FileSystem*>(&lockless), &posix_file_system()}) {
    for (const StartMode mode : {StartMode::kResume, StartMode::kOverwrite}) {
      const Error error = error_of([&] { RunWriter(out, spec, on(*system, mode)); });
      CHECK(error.kind() == ErrorKind::kLocked);
      CHECK_MESSAGE(mentions(error, "process " + std::to_string(getpid()) + " on "), error.what());
      CHECK(mentions(error, lock_path(out)));
    }
  }
  CHECK(fs::exists(lock_path(out)));
  for (const Index t : first.tiles_to_do()) deliver(spec, t, first);
  first.finish();
  CHECK(read_bytes(out) == expected_bytes(spec));
}

TEST_CASE("OUT.lock of a process that is gone is put away; of any other it is respected") {
  const RunSpec spec = kernel_spec();
  const LockOwner gone = ended_process();
  REQUIRE(gone.process > 0);
  LockOwner other_kernel = gone, other_space = gone, later = this_process();
  other_kernel.boot = "another";
  other_space.pid_namespace = "pid:[1]";
  later.started += "1";  // the number was given to a new process since
  struct Case {
    std::string text;
    bool is_gone;
  };
  const Case cases[] = {{to_text(gone), true},
                        {to_text(later), true},
                        {to_text(this_process()), false},
                        {to_text(other_kernel), false},
                        {to_text(other_space), false},
                        {"", false},
                        {"process = 1", false},
                        {std::string(10'000, 'x'), false}};
  LocklessFileSystem lockless;
  for (FileSystem* const system : {static_cast<FileSystem*>(&lockless), &posix_file_system()}) {
    for (const Case& c : cases) {
      const TemporaryFolder folder;
      const std::string out = folder.file("K.h5");
      write_text(lock_path(out), c.text);
      CAPTURE(c.text);
      if (c.is_gone) {
        run(out, spec, on(*system));
        CHECK(read_bytes(out) == expected_bytes(spec));
        CHECK_FALSE(fs::exists(lock_path(out)));
        continue;
      }
      const Error error = error_of([&] { RunWriter(out, spec, on(*system)); });
      CHECK(error.kind() == ErrorKind::kLocked);
      CHECK(mentions(error, lock_path(out)));
      CHECK(fs::exists(lock_path(out)));
      CHECK_FALSE(fs::exists(out));
    }
  }
}

TEST_CASE("an output whose OUT.lock somebody took away is not made") {
  const RunSpec spec = kernel_spec();
  LocklessFileSystem system;
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  const Error error = error_of([&] {
    RunWriter writer(out, spec, on(system));
    fs::remove(lock_path(out));
    for (const Index t : writer.tiles_to_do()) deliver(spec, t, writer);
    writer.finish();
  });
  CHECK(mentions(error, lock_path(out)));
  CHECK_FALSE(fs::exists(out));
}

TEST_CASE("with no_lock nothing is locked and nothing in the way is looked at") {
  const RunSpec spec = kernel_spec();
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  write_text(lock_path(out), "");
  LocklessFileSystem system(EIO);
  RunOptions options = on(system);
  options.no_lock = true;
  run(out, spec, options);
  CHECK(read_bytes(out) == expected_bytes(spec));
}

TEST_CASE("of many processes that start on one output without flock, one writes at a time") {
  const RunSpec spec = gradient_spec();
  const std::vector<char> expected = expected_bytes(spec);
  Index identical = 0;
  constexpr Index kRounds = 10;
  for (Index round = 0; round < kRounds; ++round) {
    const TemporaryFolder folder;
    const std::string out = folder.file("K.h5");
    std::vector<pid_t> children;
    for (int i = 0; i < 6; ++i) {
      const pid_t child = fork();
      REQUIRE(child >= 0);
      if (child == 0) {
        LocklessFileSystem system;
        try {
          run(out, spec, on(system, StartMode::kResume));
          _exit(0);
        } catch (const Error& error) {
          _exit(error.kind() == ErrorKind::kLocked ? 1 : 2);
        }
      }
      children.push_back(child);
    }
    Index finished = 0;
    for (const pid_t child : children) {
      int status = 0;
      waitpid(child, &status, 0);
      REQUIRE(WIFEXITED(status));
      CHECK(WEXITSTATUS(status) < 2);
      finished += WEXITSTATUS(status) == 0;
    }
    CHECK(finished >= 1);
    identical += read_bytes(out) == expected;
  }
  CHECK(identical == kRounds);
}

TEST_CASE("a run that ended between the link and the removal of its last rename is finished") {
  const RunSpec spec = gradient_spec();
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5"), partial = RunWriter::partial_path(out);
  class Dies final : public ForwardingFileSystem {
   public:
    int rename(const std::string& from, const std::string& to, bool replace) override {
      if (!from.ends_with(".partial")) return ForwardingFileSystem::rename(from, to, replace);
      fs::create_hard_link(from, to);
      return -EIO;
    }
  } system;
  CHECK_THROWS_AS(run(out, spec, on(system)), Error);
  REQUIRE(fs::exists(partial));
  run(out, spec, with_mode(StartMode::kResume));
  CHECK(read_bytes(out) == expected_bytes(spec));
  CHECK_FALSE(fs::exists(partial));
  CHECK_FALSE(fs::exists(RunWriter::journal_path(out)));
}

}  // namespace gramtile::test::run_lock_test
