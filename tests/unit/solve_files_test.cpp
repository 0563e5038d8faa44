// The files of a kernel-predict run: killed or failing at every call, continued to the same bytes;
// names that are taken; a factor that was changed on disk.
#include "io/solve/solve_files.hpp"

#include <doctest/doctest.h>

#include <filesystem>

#include "engine/solve/kernel_solver.hpp"
#include "engine/solve/solve_context.hpp"
#include "io/solve/prediction_file.hpp"
#include "tests/support/faulty_file_system.hpp"
#include "tests/support/run_fixture.hpp"
#include "tests/support/textbook_solver.hpp"

namespace gramtile::solve_files_test {
namespace {

using test::Fault;
using test::FaultyFileSystem;
using test::TemporaryFolder;

constexpr Index kSize = 61;  // as kernel_spec() has it
constexpr FactorGrid kGrid{kSize, 8};

const std::vector<double>& kernel() {
  static const std::vector<double> values = [] {
    std::vector<double> k = test::random_kernel(5, kSize, 0.1);
    k[30 * (kSize + 1)] -= 2;  // needs a jitter: the first attempt fails in the middle
    return k;
  }();
  return values;
}

const std::vector<SpecFact> kFacts{{"kernel file", "a"}, {"jitter", "auto"}};

SolveFileOptions with(FileSystem& system, StartMode mode) {
  SolveFileOptions options;
  options.mode = mode;
  options.file_system = &system;
  return options;
}

/// A prediction of the numbers that the factor gives.
hdf5::FileImage image_of(const KernelSolver& solver, const SolveFiles& files) {
  Prediction prediction;
  prediction.coefficients.assign(kSize, 1.0);
  solver.solve(prediction.coefficients, 1);
  prediction.by_factor.emplace();
  prediction.by_factor->leave_one_out = {prediction.coefficients, solver.inverse_diagonal()};
  prediction.by_factor->log_determinant = solver.log_determinant();
  return build_prediction(prediction,
                          {.kernel_file = "K.h5",
                           .kernel_hash = "0",
                           .targets = "y",
                           .solver = "cholesky",
                           .blas = "b",
                           .command = "c",
                           .created = files.created(),
                           .fingerprint = SolveFiles::fingerprint(kFacts)},
                          test::kernel_spec(), 0);
}

struct Promise {
  Index kept = 0;  ///< block columns of the second attempt that were on disk for sure
  bool finished = false;
};

/// Two attempts, the first of which fails; the result is written. `created` differs from start to
/// start, as the time does.
void run(const std::string& out, const SolveFileOptions& given, const std::string& created,
         Promise& promise) {
  SolveFileOptions options = given;
  WorkFile* work = nullptr;
  options.before_commit = [&] {
    if (work != nullptr && work->failure_of(0)) promise.kept = work->num_kept();
  };
  SolveFiles files(out, kFacts, created, options);
  promise.finished = files.already_finished();
  if (promise.finished) return;
  work = &files.open_work(kGrid, WorkFile::panel_bytes(kGrid, {0, 2}));
  SolveContext context({.num_threads = 1, .edge = kGrid.edge});
  const ArrayMatrix matrix(kernel(), kSize);
  const KernelFacts facts = examine(matrix, context);
  if (!work->failure_of(0)) {
    work->begin(0);
    const auto failure = factorise(matrix, facts, 0, *work, context);
    REQUIRE(failure);
    CHECK(failure->index == 30);
    work->record(*failure);
  }
  work->begin(1);
  const KernelSolver solver(matrix, facts, 3, *work, {.num_threads = 1, .edge = kGrid.edge});
  files.finish(image_of(solver, files));
  promise.finished = true;
}

std::vector<char> expected_bytes() {
  const TemporaryFolder folder;
  Promise promise;
  run(folder.file("P.h5"), with(posix_file_system(), StartMode::kCreate), "first", promise);
  return test::read_bytes(folder.file("P.h5"));
}

Index count_calls(StartMode mode) {
  const TemporaryFolder folder;
  FaultyFileSystem system;
  Promise promise;
  run(folder.file("P.h5"), with(system, mode), "first", promise);
  return system.num_calls();
}

/// A first start that is killed at its file call number `call`.
Promise die_at(const std::string& out, Index call) {
  FaultyFileSystem dying;
  dying.plan(call, Fault::kDie);
  Promise promise;
  CHECK_THROWS_AS(run(out, with(dying, StartMode::kCreate), "first", promise), Error);
  return promise;
}

bool is_alone(const TemporaryFolder& folder) {
  const auto entries = std::filesystem::directory_iterator(folder.path());
  return std::distance(begin(entries), end(entries)) == 1;
}

TEST_CASE("predict files: a kill at every call, resumed, ends in the same bytes and alone") {
  const std::vector<char> expected = expected_bytes();
  const Index calls = count_calls(StartMode::kCreate);
  REQUIRE(calls > 40);
  for (Index call = 1; call <= calls; ++call) {
    CAPTURE(call);
    const TemporaryFolder folder;
    const std::string out = folder.file("P.h5");
    die_at(out, call);
    const bool has_started = std::filesystem::exists(out + ".journal");
    FaultyFileSystem system;
    Promise after;
    run(out, with(system, StartMode::kResume), has_started ? "second" : "first", after);
    CHECK(after.finished);
    CHECK(test::read_bytes(out) == expected);
    CHECK(is_alone(folder));
  }
}

TEST_CASE("predict files: a resumed run finds every block column that was kept") {
  const Index calls = count_calls(StartMode::kCreate);
  Index most = 0;
  for (Index call = 1; call <= calls; ++call) {
    CAPTURE(call);
    const TemporaryFolder folder;
    const std::string out = folder.file("P.h5");
    const Promise before = die_at(out, call);
    if (before.kept == 0 || std::filesystem::exists(out)) continue;
    SolveFiles files(out, kFacts, "second", with(posix_file_system(), StartMode::kResume));
    WorkFile& work = files.open_work(kGrid, 1);
    REQUIRE(work.failure_of(0));
    CHECK(work.failure_of(0)->index == 30);
    work.begin(1);
    CHECK(work.num_kept() >= before.kept);
    most = std::max(most, work.num_kept());
  }
  CHECK(most == kGrid.num_blocks());
}

TEST_CASE("predict files: a call that fails ends the run with its error; resumed, the same bytes") {
  const std::vector<char> expected = expected_bytes();
  const Index calls = count_calls(StartMode::kCreate);
  for (Index call = 1; call <= calls; ++call) {
    CAPTURE(call);
    const TemporaryFolder folder;
    const std::string out = folder.file("P.h5");
    Promise promise;
    {
      FaultyFileSystem failing;
      failing.plan(call, Fault::kFail, ENOSPC);
      try {
        run(out, with(failing, StartMode::kCreate), "first", promise);
      } catch (const Error& error) {
        CHECK((error.kind() == ErrorKind::kNoSpace || error.kind() == ErrorKind::kOther ||
               error.kind() == ErrorKind::kIo || error.kind() == ErrorKind::kLocked));
      }
    }
    // A first start of which nothing is left takes the time of the second.
    const bool has_started =
        std::filesystem::exists(out + ".journal") || std::filesystem::exists(out);
    run(out, with(posix_file_system(), StartMode::kResume), has_started ? "second" : "first",
        promise);
    CHECK(test::read_bytes(out) == expected);
  }
}

TEST_CASE("predict files: a byte flipped in a kept block column is found, and it is made again") {
  const std::vector<char> expected = expected_bytes();
  const Index calls = count_calls(StartMode::kCreate);
  const TemporaryFolder folder;
  const std::string out = folder.file("P.h5");
  // The last call after which some block columns are kept, and not all.
  Promise promise;
  for (Index call = calls; call > 0; --call) {
    folder.clear();
    promise = die_at(out, call);
    if (promise.kept >= 4 && promise.kept < kGrid.num_blocks()) break;
  }
  REQUIRE(promise.kept >= 4);
  test::flip_byte(out + ".work", static_cast<std::size_t>(kGrid.entries_before(3) * 8 + 100));
  run(out, with(posix_file_system(), StartMode::kResume), "second", promise);
  CHECK(test::read_bytes(out) == expected);
}

TEST_CASE("predict files: a journal that another start is about to publish is left alone") {
  const TemporaryFolder folder;
  const std::string out = folder.file("P.h5"), path = out + ".journal.new";
  FileSystem& system = posix_file_system();
  OutputLock other(system, out + ".lock", /*no_lock=*/false, {});
  File theirs(system, path, OpenMode::kCreateNew);
  other.acquire(theirs);
  try {
    const SolveFiles files(out, kFacts, "second", with(system, StartMode::kCreate));
    FAIL("started beside another one");
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kLocked);
  }
  CHECK(leads_to(system, path, theirs));
}

TEST_CASE("predict files: what is there is refused, continued or replaced, as the mode says") {
  const TemporaryFolder folder;
  const std::string out = folder.file("P.h5");
  FileSystem& system = posix_file_system();
  Promise promise;
  run(out, with(system, StartMode::kCreate), "first", promise);
  const auto kind_of = [&](StartMode mode, const std::vector<SpecFact>& facts) {
    return test::error_of([&] { SolveFiles(out, facts, "now", with(system, mode)); }).kind();
  };
  CHECK(kind_of(StartMode::kCreate, kFacts) == ErrorKind::kCannotCreate);
  CHECK(kind_of(StartMode::kResume, {{"kernel file", "b"}}) == ErrorKind::kResumeRefused);
  CHECK(SolveFiles(out, kFacts, "now", with(system, StartMode::kResume)).already_finished());
  const std::vector<char> before = test::read_bytes(out);
  run(out, with(system, StartMode::kOverwrite), "first", promise);
  CHECK(test::read_bytes(out) == before);
}

TEST_CASE("predict files: an unfinished factor is in the way, and is not continued as another") {
  const TemporaryFolder folder;
  const std::string out = folder.file("P.h5");
  FaultyFileSystem dying;
  dying.plan(count_calls(StartMode::kCreate) - 12, Fault::kDie);
  Promise promise;
  CHECK_THROWS_AS(run(out, with(dying, StartMode::kCreate), "first", promise), Error);
  const auto error_for = [&](StartMode mode, const std::vector<SpecFact>& facts) {
    return test::error_of([&] { SolveFiles(out, facts, "now", with(posix_file_system(), mode)); });
  };
  CHECK(error_for(StartMode::kCreate, kFacts).kind() == ErrorKind::kUnfinishedRun);
  const Error changed = error_for(StartMode::kResume, {{"kernel file", "a"}, {"jitter", "1e-3"}});
  CHECK(changed.kind() == ErrorKind::kResumeRefused);
  CHECK(test::mentions(changed, "jitter (auto, now 1e-3)"));
  std::filesystem::remove(out + ".work");
  SolveFiles files(out, kFacts, "now", with(posix_file_system(), StartMode::kResume));
  const Error missing = test::error_of([&] { files.open_work(kGrid, 1); });
  CHECK(missing.kind() == ErrorKind::kResumeRefused);
  CHECK(test::mentions(missing, ".work"));
}

TEST_CASE("predict files: a second run on the same output is refused while the first one lives") {
  const TemporaryFolder folder;
  const std::string out = folder.file("P.h5");
  const SolveFiles first(out, kFacts, "now", with(posix_file_system(), StartMode::kCreate));
  const Error error = test::error_of(
      [&] { SolveFiles(out, kFacts, "now", with(posix_file_system(), StartMode::kCreate)); });
  CHECK(error.kind() == ErrorKind::kLocked);
}

TEST_CASE("predict files: a run of which nothing was kept leaves nothing behind") {
  const TemporaryFolder folder;
  const std::string out = folder.file("P.h5");
  { SolveFiles files(out, kFacts, "now", with(posix_file_system(), StartMode::kCreate)); }
  CHECK(std::filesystem::is_empty(folder.path()));
}

TEST_CASE("predict files: panels are as wide as their memory, whatever their place") {
  const FactorGrid grid{1000, 64};
  for (const std::size_t bytes : {std::size_t{1}, std::size_t{2} << 20, std::size_t{100} << 20}) {
    Index first = 0, panels = 0;
    while (first < grid.num_blocks()) {
      const Range panel = WorkFile::panel_from(grid, first, bytes);
      CHECK(panel.start == first);
      CHECK((panel.size() == 1 || WorkFile::panel_bytes(grid, panel) <= bytes));
      if (panel.stop < grid.num_blocks())
        CHECK(WorkFile::panel_bytes(grid, {first, panel.stop + 1}) > bytes);
      first = panel.stop;
      ++panels;
    }
    CHECK(first == grid.num_blocks());
    CHECK((bytes > 1 || panels == grid.num_blocks()));
  }
}

}  // namespace
}  // namespace gramtile::solve_files_test
