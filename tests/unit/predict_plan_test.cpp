// The plan of kernel-predict: what it says of memory and disk is what happens.
#include "apps/common/predict_plan.hpp"

#include <doctest/doctest.h>

#include "apps/common/iteration_plan.hpp"
#include "engine/core/errors.hpp"
#include "engine/solve/conjugate_gradients.hpp"
#include "engine/solve/kernel_solver.hpp"
#include "engine/solve/solve_context.hpp"
#include "io/solve/solve_files.hpp"
#include "tests/support/counting_file_system.hpp"
#include "tests/support/run_fixture.hpp"
#include "tests/support/textbook_solver.hpp"

namespace gramtile::predict_plan_test {
namespace {

constexpr std::size_t kMebi = std::size_t{1} << 20;

TEST_CASE("predict plan: a panel reads what lies below it of every column before, and no more") {
  const Index size = 300;
  const FactorGrid grid{size, 16};
  const std::vector<double> kernel = test::random_kernel(1, size, 0.5);
  const ArrayMatrix matrix(kernel, size);
  for (const std::size_t panel_bytes : {std::size_t{1}, std::size_t{100'000}, kMebi}) {
    const test::TemporaryFolder folder;
    test::CountingFileSystem system;
    SolveFileOptions options;
    options.file_system = &system;
    SolveFiles files(folder.file("P.h5"), {{"kernel file", "a"}}, "now", options);
    WorkFile& work = files.open_work(grid, panel_bytes);
    const Index written_before = system.written;
    system.read = 0;
    SolveContext context({.num_threads = 2, .edge = grid.edge});
    const KernelFacts facts = examine(matrix, context);
    REQUIRE(!factorise(matrix, facts, 0, work, context));
    Index expected = 0, panels = 0;
    for (Index first = 0; first < grid.num_blocks(); ++panels) {
      const Index start = grid.block(first).start;
      expected += 8 * (size - start) * start;
      first = WorkFile::panel_from(grid, first, panel_bytes).stop;
    }
    CHECK(system.read == expected);
    const Index factor_bytes = static_cast<Index>(WorkFile::num_bytes(grid));
    const Index journal_bytes = 32 * grid.num_blocks();  // a record each
    CHECK(system.written - written_before == factor_bytes + journal_bytes);
    CHECK((panel_bytes > 1 || panels == grid.num_blocks()));
  }
}

TEST_CASE("predict plan: what fits is kept in memory, what does not goes to disk or is refused") {
  const apps::SolveSize size{
      .num_training = 10'000, .num_outputs = 10, .num_variances = 500, .num_threads = 2};
  CHECK(apps::plan_solve(size, 2048 * kMebi, false).in_memory);
  CHECK(!apps::plan_solve(size, 2048 * kMebi, true).in_memory);
  const apps::SolvePlan plan = apps::plan_solve(size, 256 * kMebi, false);
  CHECK(!plan.in_memory);
  CHECK(plan.working_bytes < 256 * kMebi);
  const Range first = WorkFile::panel_from(plan.grid, 0, plan.working_bytes);
  CHECK(WorkFile::panel_bytes(plan.grid, first) <= plan.working_bytes);
  const Error error = test::error_of([&] { apps::plan_solve(size, 64 * kMebi, false); });
  CHECK(error.kind() == ErrorKind::kUsage);
  const std::string text = error.what();
  const auto at = text.rfind("--memory ") + 9;
  const std::size_t least = std::stoul(text.substr(at)) * kMebi;
  CHECK(!apps::plan_solve(size, least, false).in_memory);
  CHECK_THROWS_AS(apps::plan_solve(size, least - kMebi, false), Error);
}

TEST_CASE("predict plan: more memory never reads more") {
  const apps::SolveSize size{.num_training = 60'000, .num_outputs = 10, .num_threads = 2};
  double before = 1e300;
  for (const std::size_t memory : {512, 1024, 2048, 4096, 8192}) {
    const apps::SolvePlan plan = apps::plan_solve(size, memory * kMebi, false);
    CHECK(plan.work_read_bytes <= before);
    before = plan.work_read_bytes;
  }
}

TEST_CASE("iteration plan: the rank follows from --memory alone, and everything fits it") {
  for (const Index n : {Index{1}, Index{90}, Index{10'000}, Index{60'000}}) {
    apps::SolveSize size{.num_training = n, .num_outputs = 10, .num_threads = 2};
    const Error error = test::error_of([&] { apps::plan_iteration(size, kMebi); });
    CHECK(error.kind() == ErrorKind::kUsage);
    const std::string text = error.what();
    const std::size_t least = std::stoul(text.substr(text.rfind("--memory ") + 9)) * kMebi;
    CHECK_THROWS_AS(apps::plan_iteration(size, least - kMebi), Error);
    for (const std::size_t memory : {least, least + 10 * kMebi, 2 * least, 50 * least}) {
      const apps::IterationPlan plan = apps::plan_iteration(size, memory);
      CHECK(plan.rank <= std::min(n, apps::kMostRank));
      CHECK(static_cast<std::size_t>(plan.rank * n) * 8 <= memory / 4);
      CHECK(ConjugateGradients::num_bytes(n, 10, plan.rank) <=
            static_cast<double>(plan.working_bytes));
      apps::SolveSize more_threads = size;
      more_threads.num_threads = 4;
      if (memory > 2 * least) CHECK(apps::plan_iteration(more_threads, memory).rank == plan.rank);
    }
    CHECK(apps::plan_iteration(size, 50 * least).rank == std::min(n, apps::kMostRank));
  }
}

}  // namespace
}  // namespace gramtile::predict_plan_test
