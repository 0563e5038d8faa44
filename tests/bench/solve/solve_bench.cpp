// gramtile_solve_bench: how fast a factor is made, in memory and on disk, beside the dgemm of the
// same cores in the same run. Prints one JSON object; tests/bench/run.sh solve makes a table of it.
//
//   gramtile_solve_bench SIZE MEMORY_MIB FOLDER [TURNS [THREADS]]
//
// What is compared takes turns. Rates are N³/3 operations (2·n³ of dgemm) by wall and by processor
// seconds of all threads: on a busy machine the latter tell. Both factors are checked against each
// other, number by number, and against the kernel in some entries.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <filesystem>
#include <string>
#include <thread>
#include <vector>

#include "apps/common/predict_plan.hpp"
#include "engine/solve/factorise.hpp"
#include "engine/solve/solve_context.hpp"
#include "io/solve/solve_files.hpp"
#include "tests/support/counting_file_system.hpp"

namespace gramtile::bench {
namespace {

constexpr Index kProductEdge = 4096;
constexpr double kJitter = 0.5;

/// K_ij = e^(−|i − j|/100), positive definite; costs no memory and little time to read.
class ExponentialKernel final : public SymmetricSource {
 public:
  explicit ExponentialKernel(Index size) : by_distance_(static_cast<std::size_t>(size)) {
    for (std::size_t d = 0; d < by_distance_.size(); ++d)
      by_distance_[d] = std::exp(-static_cast<double>(d) / 100);
  }
  Index size() const override { return std::ssize(by_distance_); }
  void read(Range rows, Range columns, std::span<double> values) const override {
    std::size_t out = 0;
    for (Index i = rows.start; i < rows.stop; ++i) {
      for (Index j = columns.start; j < columns.stop; ++j)
        values[out++] = by_distance_[static_cast<std::size_t>(std::abs(i - j))];
    }
  }

 private:
  std::vector<double> by_distance_;
};

struct Seconds {
  double wall = 0, processor = 0;
};

template <typename Body>
Seconds time_of(const Body& body) {
  const auto wall = std::chrono::steady_clock::now();
  const std::clock_t processor = std::clock();
  body();
  const std::chrono::duration<double> passed = std::chrono::steady_clock::now() - wall;
  return {passed.count(), static_cast<double>(std::clock() - processor) / CLOCKS_PER_SEC};
}

/// As many products of 4096 as threads, one each.
class Products {
 public:
  explicit Products(Index count) : values_(static_cast<std::size_t>(count)) {
    for (auto& v : values_) v.assign(3 * kEntries, 1e-3);
  }
  double flops() const {
    return 2.0 * static_cast<double>(values_.size()) * std::pow(kProductEdge, 3);
  }
  Seconds run(SolveContext& context) {
    return time_of([&] {
      context.for_each(std::ssize(values_), [&](Index t) {
        double* const v = values_[static_cast<std::size_t>(t)].data();
        const auto part = [&](std::size_t number) {
          return blas::ConstMatrix{v + number * kEntries, kProductEdge, kProductEdge, kProductEdge};
        };
        blas::subtract_product_transposed(
            part(0), part(1), {v + 2 * kEntries, kProductEdge, kProductEdge, kProductEdge});
      });
    });
  }

 private:
  static constexpr std::size_t kEntries = static_cast<std::size_t>(kProductEdge) * kProductEdge;
  std::vector<std::vector<double>> values_;
};

/// Throws where L·Lᵀ is not K̃: one entry of every tile, within γ_N·√(K̃_ii·K̃_jj) (Higham, thm 10.3).
void check_factor(const FactorStore& store, const ExponentialKernel& kernel) {
  const FactorGrid& grid = store.grid();
  std::vector<double> left(static_cast<std::size_t>(grid.edge * grid.edge)), right(left.size());
  for (Index i = 0; i < grid.num_blocks(); ++i) {
    const Index j = i / 2, r = (7 * i) % grid.block(i).size(), c = (5 * i) % grid.block(j).size();
    double sum = 0;
    for (Index k = 0; k <= j; ++k) {
      const blas::ConstMatrix a = tile_of(store, i, k, left), b = tile_of(store, j, k, right);
      for (Index m = 0; m < (k == j ? c + 1 : a.columns); ++m)
        sum += a.values[r + m * a.stride] * b.values[c + m * b.stride];
    }
    double expected = 0;
    const Index row = grid.block(i).start + r, column = grid.block(j).start + c;
    kernel.read({row, row + 1}, {column, column + 1}, {&expected, 1});
    if (row == column) expected += kJitter;
    const double bound = static_cast<double>(grid.size + 2) * 0x1p-53 * (1 + kJitter);
    if (row >= column && !(std::abs(sum - expected) <= bound))
      throw Error(ErrorKind::kOther, fmt::format("the factor is wrong: {} for {}", sum, expected));
  }
}

void check_equal(const FactorStore& a, const FactorStore& b) {
  const FactorGrid& grid = a.grid();
  std::vector<double> left(static_cast<std::size_t>(grid.edge * grid.edge)), right(left.size());
  for (Index j = 0; j < grid.num_blocks(); ++j) {
    for (Index i = j; i < grid.num_blocks(); ++i) {
      const Index entries = grid.block(i).size() * grid.block(j).size();
      if (!std::equal(a.tile(i, j, left), a.tile(i, j, left) + entries, b.tile(i, j, right)))
        throw Error(ErrorKind::kOther, "the factors in memory and on disk differ");
    }
  }
}

struct Disk {
  Seconds seconds;
  Index read = 0, written = 0;
};

class Bench {
 public:
  Bench(Index size, std::size_t memory_bytes, std::string folder, int num_threads)
      : kernel_(size),
        folder_(std::move(folder)),
        num_threads_(num_threads),
        plan_(
            apps::plan_solve({.num_training = size, .num_outputs = 10, .num_threads = num_threads_},
                             memory_bytes, /*on_disk=*/true)),
        context_({.num_threads = num_threads_, .edge = plan_.grid.edge}),
        facts_(examine(kernel_, context_)),
        memory_(plan_.grid),
        products_(num_threads_) {}

  void turn() {
    const auto add = [](std::vector<Seconds>& to, Seconds s) { to.push_back(s); };
    add(product_seconds_, products_.run(context_));
    memory_.restart();
    add(memory_seconds_, time_of([&] { factor(memory_); }));
    disk_.push_back(on_disk());
    add(product_seconds_, products_.run(context_));
  }

  std::string report() const {
    const auto n = static_cast<double>(plan_.grid.size);
    // The paper count: the triangle written once; read for each panel what lies beside and below
    // it.
    double paper_read = 0;
    for (Index first = 0; first < plan_.grid.num_blocks();) {
      const double start = static_cast<double>(plan_.grid.block(first).start);
      paper_read += 8 * (n - start) * start;
      first = WorkFile::panel_from(plan_.grid, first, plan_.working_bytes).stop;
    }
    std::vector<Seconds> disk_seconds;
    for (const Disk& d : disk_) disk_seconds.push_back(d.seconds);
    return fmt::format(
        "{{\"size\": {}, \"threads\": {}, \"blas\": \"{}\", \"panels\": {},\n"
        " \"dgemm\": {}, \"memory\": {}, \"disk\": {},\n"
        " \"written\": {}, \"paper_written\": {}, \"read\": {}, \"paper_read\": {}}}\n",
        plan_.grid.size, num_threads_, blas::library_name(), plan_.num_panels,
        rates(product_seconds_, products_.flops()), rates(memory_seconds_, n * n * n / 3),
        rates(disk_seconds, n * n * n / 3), disk_.back().written, 8 * n * (n + 1) / 2,
        disk_.back().read, paper_read);
  }

 private:
  void factor(FactorStore& store) {
    if (factorise(kernel_, facts_, kJitter, store, context_))
      throw Error(ErrorKind::kOther, "the kernel has no factor");
  }

  Disk on_disk() {
    test::CountingFileSystem system;
    SolveFileOptions options;
    options.mode = StartMode::kOverwrite;
    options.file_system = &system;
    SolveFiles files(folder_ + "/solve_bench.h5", {{"kernel file", "bench"}}, "now", options);
    WorkFile& work = files.open_work(plan_.grid, plan_.working_bytes);
    system.read = system.written = 0;
    Disk result;
    result.seconds = time_of([&] { factor(work); });
    result.read = system.read;
    result.written = system.written;
    check_factor(memory_, kernel_);
    check_equal(memory_, work);
    files.abandon();
    return result;
  }

  static double median(std::vector<double> values) {
    std::ranges::sort(values);
    return values[values.size() / 2];
  }
  /// GFLOP/s by wall, GFLOP a processor second.
  static std::string rates(const std::vector<Seconds>& seconds, double flops) {
    std::vector<double> wall, processor;
    for (const Seconds& s : seconds) {
      wall.push_back(flops / s.wall * 1e-9);
      processor.push_back(flops / s.processor * 1e-9);
    }
    return fmt::format("[{}, {}]", median(wall), median(processor));
  }

  const ExponentialKernel kernel_;
  const std::string folder_;
  const int num_threads_;
  const apps::SolvePlan plan_;
  SolveContext context_;
  const KernelFacts facts_;
  MemoryStore memory_;
  Products products_;
  std::vector<Seconds> product_seconds_, memory_seconds_;
  std::vector<Disk> disk_;
};

int run(int argc, char** argv) {
  if (argc < 4) {
    std::fputs("gramtile_solve_bench SIZE MEMORY_MIB FOLDER [TURNS [THREADS]]\n", stderr);
    return 2;
  }
  const int turns = argc > 4 ? std::stoi(argv[4]) : 3;
  const int num_threads =
      argc > 5 ? std::stoi(argv[5]) : static_cast<int>(std::thread::hardware_concurrency());
  Bench bench(std::stoll(argv[1]), std::stoull(argv[2]) << 20, argv[3], num_threads);
  for (int turn = 0; turn < turns; ++turn) bench.turn();
  std::fputs(bench.report().c_str(), stdout);
  return 0;
}

}  // namespace
}  // namespace gramtile::bench

int main(int argc, char** argv) {
  try {
    return gramtile::bench::run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gramtile_solve_bench: %s\n", error.what());
    return 1;
  }
}
