// gramtile_bench: every benchmark of the engine. Each makes its workload (which checks its result
// against the reference) and then lets it take turns with what it is compared with; one iteration
// of Google Benchmark is one turn. tests/bench/run.sh prints the table.
//
// Names: KIND/NETWORK/TYPE[/…]/threads:N. Options besides Google Benchmark's:
//   --turns=9  --slice_ms=40  --edge=128 (of tiles)  --smoke (checks, one short turn)
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <charconv>
#include <cstdio>
#include <exception>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "engine/schedule/compute.hpp"
#include "engine/simd/instruction_set.hpp"
#include "tests/bench/networks.hpp"
#include "tests/bench/pair_work.hpp"
#include "tests/bench/useful_operations.hpp"

namespace gramtile::bench {
namespace {

struct Settings {
  int turns = 9;
  double slice_seconds = 0.04;
  Index edge = 128;
  bool smoke = false;
};
Settings settings;

constexpr DataType kTypes[] = {DataType::kFloat32, DataType::kFloat64};

std::vector<int> thread_counts() {
  return std::thread::hardware_concurrency() >= 2 ? std::vector<int>{1, 2} : std::vector<int>{1};
}

void take_turns(benchmark::State& state, Rotation& rotation) {
  for (auto _ : state) state.SetIterationTime(rotation.turn());
}

/// Calls `body`; what it throws, a failed check above all, fails the benchmark.
template <class Body>
void guarded(benchmark::State& state, const Body& body) {
  try {
    body();
  } catch (const std::exception& error) {
    state.SkipWithError(error.what());
  }
}

/// Times one workload against the peak of the best instruction set, of the same data type and on
/// the same threads; and, where GRAMTILE_TARGET forces a lesser one, states that one's peak too.
void time_work(benchmark::State& state, const NamedProgram& network, const WorkSpec& spec) {
  guarded(state, [&] {
    const auto executor = make_executor(spec.num_threads);
    const auto work = make_work(network.program, spec, *executor);
    PeakWork best(best_peak(), spec.data_type, *executor);
    PeakWork own(peak_of(instruction_set()), spec.data_type, *executor);
    const bool forced = best_peak().target != instruction_set();
    std::vector<Workload*> works{&best, work.get()};
    if (forced) works.insert(works.begin(), &own);
    Rotation rotation(works, settings.slice_seconds);
    take_turns(state, rotation);

    const std::size_t last = works.size() - 1;
    const double rate = rotation.rate(last), rate_per_flops = rotation.ratio(last, last - 1);
    const char* unit = spec.work == Work::kVariances ? "images" : "pairs";
    state.counters[fmt::format("{}_per_s", unit)] = rate;
    state.counters["peak_GFLOPs"] = rotation.rate(last - 1) * 1e-9;
    state.counters[fmt::format("{}_per_s_per_GFLOPs", unit)] = rate_per_flops * 1e9;
    if (forced) {
      state.counters["target_peak_GFLOPs"] = rotation.rate(0) * 1e-9;
      state.counters[fmt::format("{}_per_s_per_target_GFLOPs", unit)] =
          rotation.ratio(last, 0) * 1e9;
    }
    const double pixels = layer_pixels(network.program);
    state.counters["ns_per_layer_pixel"] = 1e9 / (rate * pixels);
    // Slots in which a vector instruction could have been issued, as the peak issues them.
    state.counters["slots_per_layer_pixel"] = 1 / (2 * rate_per_flops * pixels);
    state.counters["useful_ops_per_pair"] = useful_operations(network.program);
    state.counters["useful_per_slot"] = 2 * rate_per_flops * useful_operations(network.program);
  });
}

/// The rate of `work` divided by that of `base`, in turns; where they differ in threads, also that
/// ratio of the peak.
void time_ratio(benchmark::State& state, const NamedProgram& network, const WorkSpec& work,
                const WorkSpec& base) {
  guarded(state, [&] {
    const auto work_executor = make_executor(work.num_threads);
    const auto base_executor = make_executor(base.num_threads);
    const auto first = make_work(network.program, base, *base_executor);
    const auto second = make_work(network.program, work, *work_executor);
    // What the machine itself gives for more threads, at this very moment.
    PeakWork base_peak(best_peak(), base.data_type, *base_executor);
    PeakWork work_peak(best_peak(), work.data_type, *work_executor);
    std::vector<Workload*> works{first.get(), second.get()};
    const bool threads = base.num_threads != work.num_threads;
    if (threads) works.insert(works.end(), {&base_peak, &work_peak});
    Rotation rotation(works, settings.slice_seconds);
    take_turns(state, rotation);
    if (threads) state.counters["peak_ratio"] = rotation.ratio(3, 2);
    state.counters["ratio"] = rotation.ratio(1, 0);
    state.counters["cost"] = rotation.ratio(0, 1);
  });
}

template <class Body>
void add(const std::string& name, const Body& body) {
  benchmark::RegisterBenchmark(name.c_str(), body)
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond)
      ->Iterations(settings.turns);
}

std::string label(std::string_view kind, const NamedProgram& network, const WorkSpec& spec) {
  return fmt::format("{}/{}/{}/threads:{}", kind, network.name, name_of(spec.data_type),
                     spec.num_threads);
}

void add_work(std::string_view kind, const NamedProgram& network, const WorkSpec& spec) {
  add(label(kind, network, spec),
      [network, spec](benchmark::State& state) { time_work(state, network, spec); });
}

void add_ratio(std::string_view kind, const NamedProgram& network, const WorkSpec& work,
               const WorkSpec& base) {
  add(label(kind, network, work),
      [network, work, base](benchmark::State& state) { time_ratio(state, network, work, base); });
}

WorkSpec spec_of(Work work, DataType type, int num_threads = 1) {
  return {.work = work, .data_type = type, .num_threads = num_threads, .edge = settings.edge};
}

void register_operations() {
  for (const NamedProgram& network : operation_programs()) {
    for (DataType type : kTypes) add_work("operation", network, spec_of(Work::kPack, type));
  }
}

void register_network(const NamedProgram& network) {
  for (DataType type : kTypes) {
    add_work("variances", network, spec_of(Work::kVariances, type));
    add_work("pack", network, spec_of(Work::kPack, type));
    for (int threads : thread_counts()) {
      add_work("tile", network, spec_of(Work::kTile, type, threads));
      add_work("gradient", network, spec_of(Work::kGradient, type, threads));
      add_work("jacobian", network, spec_of(Work::kJacobian, type, threads));
      WorkSpec run = spec_of(Work::kRun, type, threads);
      run.edge = 2 * settings.edge;
      add_work("run", network, run);
    }
    const WorkSpec tile = spec_of(Work::kTile, type);
    if (type == DataType::kFloat64) {
      add_ratio("types", network, tile, spec_of(Work::kTile, DataType::kFloat32));
    }
    if (thread_counts().size() > 1) {
      add_ratio("threads", network, spec_of(Work::kTile, type, 2), tile);
    }
    add_ratio("gradient_cost", network, spec_of(Work::kGradient, type), tile);
    add_ratio("jacobian_cost", network, spec_of(Work::kJacobian, type), tile);
  }
}

/// One of depth, image size and number of images at a time, the others as in convnet-gp.
void register_scaling() {
  const WorkSpec tile{.work = Work::kTile, .edge = settings.smoke ? 16 : Index{64}};
  for (Index depth : {3, 7, 14}) {
    for (Index size : {14, 28, 56}) {
      add_work("scale", {fmt::format("depth:{}/size:{}", depth, size), layers(depth, size)}, tile);
    }
  }
  for (Index images : {100, 200, 400, 800}) {
    const WorkSpec run{.work = Work::kRun, .edge = settings.smoke ? images / 10 : images};
    add_work("scale", {fmt::format("images:{}", images), layers(7, 28)}, run);
  }
}

template <class Number>
bool read_number(std::string_view argument, std::string_view name, Number& to) {
  if (!argument.starts_with(name)) return false;
  argument.remove_prefix(name.size());
  const auto [end, error] = std::from_chars(argument.data(), argument.data() + argument.size(), to);
  return error == std::errc() && end == argument.data() + argument.size() && to > 0;
}

/// Takes this program's own options out of the arguments.
void read_settings(int& argc, char** argv) {
  int kept = 1, slice_ms = 0;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (argument == "--smoke") {
      settings = {.turns = 1, .slice_seconds = 1e-4, .edge = 24, .smoke = true};
    } else if (read_number(argument, "--slice_ms=", slice_ms)) {
      settings.slice_seconds = 1e-3 * slice_ms;
    } else if (!read_number(argument, "--turns=", settings.turns) &&
               !read_number(argument, "--edge=", settings.edge)) {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
}

}  // namespace
}  // namespace gramtile::bench

/// Google Benchmark counts failed benchmarks but ends with 0; this ends with 1.
class FailingReporter : public benchmark::ConsoleReporter {
 public:
  void ReportRuns(const std::vector<Run>& runs) override {
    for (const Run& run : runs) failed = failed || run.error_occurred;
    ConsoleReporter::ReportRuns(runs);
  }
  bool failed = false;
};

int main(int argc, char** argv) {
  using namespace gramtile;
  try {
    bench::read_settings(argc, argv);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
    benchmark::AddCustomContext("instruction_set", std::string(instruction_set()));
    benchmark::AddCustomContext("peak_instruction_set", bench::best_peak().target);
    benchmark::AddCustomContext("images", bench::load_images({1, 28, 28}, 1).origin);
    benchmark::AddCustomContext("turns", std::to_string(bench::settings.turns));
    bench::register_operations();
    for (const bench::NamedProgram& network : bench::preset_programs()) {
      bench::register_network(network);
    }
    bench::register_scaling();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "gramtile_bench: %s\n", error.what());
    return 2;
  }
  FailingReporter reporter;
  benchmark::RunSpecifiedBenchmarks(&reporter);
  return reporter.failed ? 1 : 0;
}
