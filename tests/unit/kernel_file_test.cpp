// A kernel file as the solver sees it: parts wherever the tiles' edges are, whole rows, and the one
// pass that compares hashes and gathers facts.
#include "io/solve/kernel_file.hpp"

#include <doctest/doctest.h>

#include <cmath>

#include "engine/solve/solve_context.hpp"
#include "io/hdf5/hdf5.hpp"
#include "tests/support/run_fixture.hpp"

namespace gramtile::kernel_file_test {
namespace {

/// kernel_spec() in other tiles, of `size` training images. With `edge` 1,500 a tile takes several
/// pieces of 4 MiB.
RunSpec spec_of(Index size, Index edge, DataType type) {
  RunSpec spec = test::kernel_spec();
  std::vector<MatrixSpec> matrices = spec.plan.matrices;
  matrices[0].num_rows = matrices[0].num_columns = matrices[1].num_columns = size;
  spec.plan = plan_tiles(matrices, edge);
  spec.sets[0].num_examples = size;
  spec.sets[0].labels.assign(static_cast<std::size_t>(size), 1);
  spec.data_type = type;
  return spec;
}

struct Case {
  Index size, edge;
  DataType type;
};
const Case kCases[] = {{61, 8, DataType::kFloat32},    {61, 61, DataType::kFloat64},
                       {61, 64, DataType::kFloat32},   {1, 8, DataType::kFloat64},
                       {800, 300, DataType::kFloat64}, {1600, 1500, DataType::kFloat64}};

double entry(const RunSpec& spec, Index row, Index column) {
  const double value = test::fake_entry(spec, 0, 0, row, column);
  return spec.data_type == DataType::kFloat32 ? static_cast<double>(static_cast<float>(value))
                                              : value;
}

TEST_CASE("kernel file: one pass gives the facts of the matrix, the same for any threads") {
  for (const Case& c : kCases) {
    CAPTURE(c.size);
    CAPTURE(c.edge);
    const test::TemporaryFolder folder;
    const RunSpec spec = spec_of(c.size, c.edge, c.type);
    test::run(folder.file("K.h5"), spec);
    const KernelFile file(folder.file("K.h5"));
    const auto on_threads = [&](int num_threads) {
      SolveContext context({.num_threads = num_threads, .edge = 64});
      return file.check_and_examine(context);
    };
    const KernelFacts facts = on_threads(1), again = on_threads(3);
    CHECK(again.diagonal == facts.diagonal);
    CHECK(again.row_sums == facts.row_sums);
    for (Index i = 0; i < c.size; ++i) {
      double sum = 0;
      for (Index j = 0; j < c.size; ++j) sum += i == j ? 0 : std::abs(entry(spec, i, j));
      const auto at = static_cast<std::size_t>(i);
      CHECK(facts.diagonal[at] == entry(spec, i, i));
      // N additions on either side, of positive terms.
      CHECK(std::abs(facts.row_sums[at] - sum) <= 2 * static_cast<double>(c.size) * 0x1p-53 * sum);
    }
  }
}

TEST_CASE("kernel file: parts of any shape and whole rows hold the matrix's entries") {
  for (const Case& c : kCases) {
    CAPTURE(c.size);
    CAPTURE(c.edge);
    const test::TemporaryFolder folder;
    const RunSpec spec = spec_of(c.size, c.edge, c.type);
    test::run(folder.file("K.h5"), spec);
    const KernelFile file(folder.file("K.h5"));
    const Index n = c.size;
    for (const Range rows : {Range{0, 1}, Range{n / 3, n / 2 + 1}, Range{n - 1, n}}) {
      for (const Range columns : {Range{0, n}, Range{n / 2, n / 2 + 1}, Range{n / 3, n}}) {
        std::vector<double> values(static_cast<std::size_t>(rows.size() * columns.size()));
        file.kernel().read(rows, columns, values);
        Index wrong = 0, at = 0;
        for (Index i = rows.start; i < rows.stop; ++i) {
          for (Index j = columns.start; j < columns.stop; ++j)
            wrong += values[static_cast<std::size_t>(at++)] == entry(spec, i, j) ? 0 : 1;
        }
        CHECK(wrong == 0);
      }
      std::vector<double> row(static_cast<std::size_t>(n));
      file.kernel().read_row(rows.start, row);
      for (Index j = 0; j < n; ++j)
        CHECK(row[static_cast<std::size_t>(j)] == entry(spec, rows.start, j));
    }
  }
}

TEST_CASE("kernel file: a byte that was changed in any tile is found, in padding too") {
  const test::TemporaryFolder folder;
  const RunSpec spec = spec_of(61, 8, DataType::kFloat64);
  test::run(folder.file("K.h5"), spec);
  const auto original = test::read_bytes(folder.file("K.h5"));
  const hdf5::File h5(folder.file("K.h5"));
  const auto offset =
      static_cast<std::size_t>(h5.dataset("Kxx").number_attribute("offset")->front());
  // Chunks of 8 × 8 doubles, 8 of them in a row of the matrix; the last one is padded.
  const std::size_t chunk = 8 * 8 * 8;
  SolveContext context({.num_threads = 2, .edge = 16});
  for (const std::size_t block :
       {std::size_t{0}, std::size_t{3}, std::size_t{7}, std::size_t{63}}) {
    for (const std::size_t at : {std::size_t{1}, chunk - 3}) {
      test::flip_byte(folder.file("K.h5"), offset + block * chunk + at);
      const KernelFile file(folder.file("K.h5"));
      const Error error = test::error_of([&] { file.check_and_examine(context); });
      CHECK(error.kind() == ErrorKind::kPartMissing);
      CHECK(test::mentions(error, "Kxx"));
      test::write_bytes(folder.file("K.h5"), original);
    }
  }
  CHECK_NOTHROW(KernelFile(folder.file("K.h5")).check_and_examine(context));
}

}  // namespace
}  // namespace gramtile::kernel_file_test
