// The names of an output: whatever somebody laid there, nothing but the run's own files is written
// to, and nothing but the run's own file becomes the output.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <functional>
#include <map>

#include "io/run/write/run_start.hpp"
#include "io/run/write/run_writer.hpp"
#include "tests/support/run_fixture.hpp"

namespace gramtile::test::run_names_test {

namespace {

namespace fs = std::filesystem;

const std::vector<char> kPrecious{'p', 'r', 'e', 'c', 'i', 'o', 'u', 's'};

struct Obstacle {
  std::string name;
  std::function<void(const TemporaryFolder&, const std::string& path)> lay;
};

std::vector<Obstacle> obstacles() {
  return {
      {"link to a file",
       [](const TemporaryFolder& folder, const std::string& path) {
         fs::create_symlink(folder.file("precious"), path);
       }},
      {"hard link to a file",
       [](const TemporaryFolder& folder, const std::string& path) {
         fs::create_hard_link(folder.file("precious"), path);
       }},
      {"link to nothing",
       [](const TemporaryFolder& folder, const std::string& path) {
         fs::create_symlink(folder.file("nothing"), path);
       }},
      {"link to itself",
       [](const TemporaryFolder&, const std::string& path) { fs::create_symlink(path, path); }},
      {"file", [](const TemporaryFolder&, const std::string& path) { write_bytes(path, {'x'}); }},
      {"pipe", [](const TemporaryFolder&,
                  const std::string& path) { REQUIRE(mkfifo(path.c_str(), 0600) == 0); }},
      {"folder",
       [](const TemporaryFolder& folder, const std::string& path) {
         fs::create_directory(path);
         fs::rename(folder.file("inside"), path + "/inside");
       }},
  };
}

std::vector<std::string> names_of(const std::string& out) {
  const RunPaths paths(out);
  return {paths.out,     paths.partial,     paths.new_partial,
          paths.journal, paths.new_journal, paths.lock};
}

}  // namespace

TEST_CASE("nothing that bears a name of the output is written through, in any start mode") {
  const RunSpec spec = gradient_spec();
  const std::vector<char> expected = expected_bytes(spec);
  Index tried = 0, refused = 0;
  for (const StartMode mode : {StartMode::kCreate, StartMode::kResume, StartMode::kOverwrite}) {
    for (std::size_t n = 0; n < 6; ++n) {
      for (const Obstacle& obstacle : obstacles()) {
        const TemporaryFolder folder;
        const std::string out = folder.file("K.h5"), at = names_of(out)[n];
        write_bytes(folder.file("precious"), kPrecious);
        write_bytes(folder.file("inside"), kPrecious);
        obstacle.lay(folder, at);
        CAPTURE(at);
        CAPTURE(obstacle.name);
        CAPTURE(static_cast<int>(mode));
        ++tried;
        try {
          run(out, spec, with_mode(mode));
          CHECK(fs::symlink_status(out).type() == fs::file_type::regular);
          CHECK(read_bytes(out) == expected);
        } catch (const Error& error) {
          ++refused;
          const auto kind = error.kind();
          const bool is_plain = kind == ErrorKind::kCannotCreate || kind == ErrorKind::kLocked ||
                                kind == ErrorKind::kUnfinishedRun ||
                                kind == ErrorKind::kResumeRefused;
          CHECK_MESSAGE(is_plain, error.what());
          CHECK_MESSAGE(mentions(error, out), error.what());
        }
        CHECK(read_bytes(folder.file("precious")) == kPrecious);
        CHECK_FALSE(fs::exists(folder.file("nothing")));
        if (obstacle.name == "folder") CHECK(read_bytes(at + "/inside") == kPrecious);
      }
    }
  }
  CHECK(refused < tried);
  MESSAGE(tried, " obstacles on names of the output: ", refused, " refused, ", tried - refused,
          " put away, no file written through");
}

TEST_CASE("an output is never made of files that somebody removed or replaced during the run") {
  const RunSpec spec = gradient_spec();
  const std::map<std::string, std::function<void(const std::string&)>> accidents{
      {"removed", [](const std::string& path) { fs::remove(path); }},
      {"replaced by a copy",
       [](const std::string& path) {
         fs::copy_file(path, path + ".copy");
         fs::rename(path + ".copy", path);
       }},
      {"renamed", [](const std::string& path) { fs::rename(path, path + ".old"); }},
      {"replaced by a link to it",
       [](const std::string& path) {
         fs::rename(path, path + ".old");
         fs::create_symlink(path + ".old", path);
       }},
  };
  const auto num_tiles = static_cast<Index>(spec.plan.tiles.size());
  for (const auto& [name, happen] : accidents) {
    for (const bool journal : {false, true}) {
      for (const Index at : {Index{0}, num_tiles / 2, num_tiles}) {
        const TemporaryFolder folder;
        const std::string out = folder.file("K.h5");
        const std::string path =
            journal ? RunWriter::journal_path(out) : RunWriter::partial_path(out);
        CAPTURE(name);
        CAPTURE(path);
        CAPTURE(at);
        const Error error = error_of([&] {
          RunWriter writer(out, spec);
          for (Index t = 0; t < num_tiles; ++t) {
            if (t == at) happen(path);
            deliver(spec, t, writer);
          }
          writer.commit();
          if (at == num_tiles) happen(path);
          writer.finish();
        });
        CHECK(error.kind() == ErrorKind::kOther);
        CHECK_MESSAGE(mentions(error, path), error.what());
        CHECK_FALSE(fs::exists(out));
      }
    }
  }
}

TEST_CASE("tiles are not committed when the caller says that its inputs changed") {
  const RunSpec spec = kernel_spec();
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  bool changed = false;
  RunOptions options;
  options.before_commit = [&] {
    if (changed) throw DataError("train.npy", "was written to");
  };
  const Error error = error_of([&] {
    RunWriter writer(out, spec, options);
    for (Index t = 0; t < 16; ++t) deliver(spec, t, writer);
    writer.commit();
    changed = true;
    deliver(spec, 16, writer);
    writer.commit();
  });
  CHECK(error.kind() == ErrorKind::kData);
  const RunWriter again(out, spec, with_mode(StartMode::kResume));
  CHECK(again.tiles_to_do().size() == spec.plan.tiles.size() - 16);
}

TEST_CASE("in a process without stdin, stdout and stderr, no file of a run gets their numbers") {
  const RunSpec spec = gradient_spec();
  const TemporaryFolder folder;
  const std::string out = folder.file("K.h5");
  const std::vector<char> expected = expected_bytes(spec);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    for (const int stream : {0, 1, 2}) close(stream);
    try {
      RunWriter writer(out, spec);
      for (Index t = 0; t < writer.num_tiles(); ++t) {
        deliver(spec, t, writer);
        // What a program prints that does not know.
        for (const int stream : {1, 2})
          if (write(stream, "50 %\n", 5) >= 0) _exit(3);
      }
      writer.finish();
      _exit(0);
    } catch (...) {
      _exit(2);
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  REQUIRE(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(read_bytes(out) == expected);
}

}  // namespace gramtile::test::run_names_test
