#include "apps/common/job.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <span>
#include <string_view>
#include <utility>
#include <variant>

#include "apps/common/checked_source.hpp"
#include "apps/common/command.hpp"
#include "apps/common/execute.hpp"
#include "apps/common/memory.hpp"
#include "apps/common/units.hpp"
#include "engine/backend/backend.hpp"
#include "engine/core/errors.hpp"
#include "io/network/network_json.hpp"
#include "io/run/content_hash.hpp"
#include "io/run/journal.hpp"
#include "io/run/read_run.hpp"
#include "io/run/tile_map.hpp"

namespace gramtile::apps {
namespace {

// The default tile must not depend on the machine, nor on --memory: shares have to agree on it, and
// a gradient is summed tile by tile.
constexpr int kThreadsForTileSize = 8;
constexpr std::size_t kMemoryForTileSize = std::size_t{2} << 30;

// What a run keeps for each of its tiles: hash and maker, the lists of what is to do, records of
// the journal while it is resumed (an estimate).
constexpr std::size_t kBytesPerTile = 64;

// What the network takes as text, layers, operations, steps and facts, several times over (measured
// on mixtures of 500 to 5,000 branches).
constexpr std::size_t kBytesPerOperation = 4 << 10, kBytesPerSummand = 2 << 10,
                      kBytesPerParameter = 2 << 10;

std::size_t bytes_of_network(const Program& program) {
  std::size_t bytes =
      program.ops.size() * kBytesPerOperation + program.parameters.size() * kBytesPerParameter;
  for (const Op& op : program.ops) {
    if (const auto* sum = std::get_if<SumOp>(&op)) bytes += sum->inputs.size() * kBytesPerSummand;
  }
  return bytes;
}

std::size_t bytes_of_lists(const TilePlan& plan, const ComputeArguments& arguments) {
  return static_cast<std::size_t>(tiles_of(plan, arguments.shard).size()) * kBytesPerTile;
}

// Whether all charges are within what charge() lets them take.
bool may_charge(const Job& job, std::size_t more_bytes, std::size_t engine_bytes) {
  return job.charged_bytes + more_bytes <= engine_bytes / 2;
}

// Whether tiles of this size are few enough to be listed.
bool lists_fit(const Job& job, const ComputeArguments& arguments,
               std::span<const MatrixSpec> matrices, Index tile_size) {
  const TilePlan plan = plan_tiles({matrices.begin(), matrices.end()}, tile_size);
  return may_charge(job, bytes_of_lists(plan, arguments),
                    share_memory(arguments.memory_bytes).engine_bytes);
}

Index size_of(const Inputs& inputs, Index set) {
  return inputs.sets[static_cast<std::size_t>(set)].data->num_examples();
}

void add_matrix(const Inputs& inputs, const MatrixRequest& wanted, RunSpec& spec,
                std::vector<MatrixSpec>& matrices) {
  const Index rows = inputs.find(wanted.rows);
  const Index columns = wanted.columns.empty() ? rows : inputs.find(wanted.columns);
  if (rows < 0 || columns < 0) return;
  MatrixSpec matrix{.name = wanted.name, .kind = wanted.kind, .num_rows = size_of(inputs, rows)};
  matrix.num_columns = wanted.kind == MatrixKind::kDiagonal ? 1 : size_of(inputs, columns);
  matrices.push_back(std::move(matrix));
  spec.axes.push_back({.rows = rows, .columns = columns});
}

// Whether the least that a run with such tiles needs is within its memory.
bool fits(const Job& job, Index tile_size) {
  const TilePlan plan{.tile_size = tile_size, .matrices = {}, .tiles = {}};
  ComputeRequest request;
  request.program = &job.inputs.program;
  request.plan = &plan;
  request.derivative = job.spec.derivative;
  try {
    plan_memory(request, job.options);
    return true;
  } catch (const Error&) {
    return false;
  }
}

// --tile, or that of the run to be continued, or one that suits.
Index choose_tile_size(const ComputeArguments& arguments, const Job& job,
                       std::span<const MatrixSpec> matrices) {
  if (arguments.tile_size > 0) return arguments.tile_size;
  if (arguments.resume) {
    if (const auto run = Journal::spec_at(RunWriter::journal_path(arguments.out)))
      return run->plan.tile_size;
    try {
      return RunReader(arguments.out).spec().plan.tile_size;
    } catch (const Error&) {  // not there, or not ours: RunWriter will say what is wrong
    }
  }
  ComputeOptions options = job.options;
  options.num_threads = kThreadsForTileSize;
  options.memory_bytes = share_memory(kMemoryForTileSize).engine_bytes;
  const Index usual = default_tile_size(job.inputs.program, matrices, options, job.spec.derivative);
  // A share keeps it: check_memory then asks for --tile, the same for every share.
  if (arguments.shard || fits(job, usual)) return usual;
  options.memory_bytes = job.options.memory_bytes;
  return default_tile_size(job.inputs.program, matrices, options, job.spec.derivative);
}

// This tile size, or the next larger one of whose tiles there are few enough to be listed; or 0.
Index tile_size_to_list(const ComputeArguments& arguments, const Job& job,
                        std::span<const MatrixSpec> matrices, Index tile_size) {
  for (Index size = tile_size; size <= kMaxTileSize && fits(job, size); size *= 2) {
    if (lists_fit(job, arguments, matrices, size)) return size;
  }
  return 0;
}

void describe_network(Job& job) {
  job.spec.network = to_json(job.inputs.network);
  for (const Parameter& parameter : job.inputs.program.parameters) {
    job.spec.parameter_names.push_back(parameter.name);
    job.spec.parameter_values.push_back(parameter.value);
  }
}

void describe_sets(Job& job) {
  for (const InputSet& set : job.inputs.sets) {
    ExampleSet example_set;
    example_set.name = set.name;
    example_set.source = set.data->description();
    example_set.num_examples = set.data->num_examples();
    example_set.first = set.data->range().start;
    if (!set.data->selection().is_contiguous()) {
      example_set.scattered = true;
      example_set.positions = set.data->selection().images();
    }
    example_set.labels = set.data->labels().value_or(std::vector<std::int64_t>{});
    job.spec.sets.push_back(std::move(example_set));
    job.sources.push_back(std::make_unique<CheckedSource>(*set.data, set.data->description()));
  }
}

// Lists of a million images' tiles can take more than the images: a default gives way, what was
// asked for is refused, with what would do.
void plan_tiles_to_list(const ComputeArguments& arguments, Job& job,
                        std::vector<MatrixSpec> matrices) {
  Index tile_size = choose_tile_size(arguments, job, matrices);
  const Index large_enough = tile_size_to_list(arguments, job, matrices, tile_size);
  const bool is_free = arguments.tile_size == 0 && !arguments.shard && !arguments.resume;
  if (is_free && large_enough > 0) tile_size = large_enough;
  job.spec.plan = plan_tiles(std::move(matrices), tile_size);
  const std::string advice = large_enough > 0
                                 ? fmt::format("with --tile {} this is enough{}", large_enough,
                                               arguments.shard ? " (the same for every share)" : "")
                                 : "a larger --tile makes fewer";
  charge(job, arguments, bytes_of_lists(job.spec.plan, arguments),
         fmt::format("the lists of {} tiles; {}",
                     format_count(tiles_of(job.spec.plan, arguments.shard).size()), advice));
}

// What was read from files, and what reading images takes.
void charge_inputs(const ComputeArguments& arguments, Job& job) {
  const Program& program = job.inputs.program;
  charge(job, arguments, bytes_of_network(program),
         fmt::format("the network's {} operations and {} parameters",
                     format_count(static_cast<Index>(program.ops.size())),
                     format_count(static_cast<Index>(program.parameters.size()))));
  // One set is read at a time.
  const auto largest = std::ranges::max_element(
      job.inputs.sets, {}, [](const InputSet& set) { return set.data->unpack_bytes(); });
  charge(job, arguments, largest->data->unpack_bytes(),
         fmt::format("the compressed chunks of {}", largest->data->description()));
}

}  // namespace

ComputeRequest Job::compute_request() const {
  ComputeRequest request;
  request.program = &inputs.program;
  request.plan = &spec.plan;
  for (std::size_t m = 0; m < spec.axes.size(); ++m) {
    const auto data = [&](Index set) { return sources[static_cast<std::size_t>(set)].get(); };
    const bool cross = spec.plan.matrices[m].kind == MatrixKind::kCross;
    request.sources.push_back(
        {.rows = data(spec.axes[m].rows), .columns = cross ? data(spec.axes[m].columns) : nullptr});
  }
  request.with_kernel = spec.with_kernel;
  request.derivative = spec.derivative;
  request.upstream = upstream.get();
  return request;
}

Job plan_job(Inputs inputs, const JobRequest& request, const ComputeArguments& arguments) {
  Job job;
  job.inputs = std::move(inputs);
  job.options = {.data_type = arguments.data_type,
                 .num_threads = arguments.num_threads,
                 .memory_bytes = share_memory(arguments.memory_bytes).engine_bytes};
  RunSpec& spec = job.spec;
  spec.data_type = arguments.data_type;
  spec.layout = request.layout;
  spec.with_kernel = request.with_kernel;
  spec.derivative = request.derivative;
  spec.instruction_set = backend_of(job.options).name();
  spec.command = request.command;
  spec.created = creation_time();
  std::vector<MatrixSpec> matrices;
  for (const MatrixRequest& wanted : request.matrices) {
    add_matrix(job.inputs, wanted, spec, matrices);
  }
  charge_inputs(arguments, job);
  plan_tiles_to_list(arguments, job, std::move(matrices));
  describe_network(job);
  describe_sets(job);
  return job;
}

void charge(Job& job, const ComputeArguments& arguments, std::size_t bytes,
            const std::string& what) {
  job.charged_bytes += bytes;
  const std::size_t engine = share_memory(arguments.memory_bytes).engine_bytes;
  if (may_charge(job, 0, engine)) {
    job.options.memory_bytes = engine - job.charged_bytes;
    return;
  }
  const auto fits = [&](std::size_t engine_bytes) { return may_charge(job, 0, engine_bytes); };
  throw Error(
      ErrorKind::kUsage,
      fmt::format("--memory {} is too little: at least {} are needed for {}",
                  format_bytes(arguments.memory_bytes), format_bytes(least_memory(fits)), what));
}

void check_memory(const Job& job, const ComputeArguments& arguments) {
  const ComputeRequest request = job.compute_request();
  const auto fits = [&](std::size_t engine_bytes) {
    ComputeOptions options = job.options;
    options.memory_bytes = engine_bytes - std::min(engine_bytes, job.charged_bytes);
    try {
      plan_memory(request, options);
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  if (fits(share_memory(arguments.memory_bytes).engine_bytes)) return;
  const Index tile = job.spec.plan.tile_size;
  throw Error(
      ErrorKind::kUsage,
      fmt::format("--memory {} is too little for tiles of {}×{} of this network; at least {} "
                  "are needed, or a smaller --tile{} or fewer --threads",
                  format_bytes(arguments.memory_bytes), tile, tile,
                  format_bytes(least_memory(fits)),
                  arguments.shard ? " (the same for every share)" : ""));
}

void read_inputs(Job& job) {
  bool nonnegative = true;
  for (std::size_t i = 0; i < job.spec.sets.size(); ++i) {
    SourceContents contents = read_contents(*job.sources[i]);
    job.spec.sets[i].hash = std::move(contents.hash);
    nonnegative = nonnegative && contents.nonnegative;
  }
  if (nonnegative) assume_nonnegative_images(job.inputs.program);
}

std::string stored_command(int argc, char** argv) {
  constexpr std::array<std::string_view, 5> kWithValue{"--out", "--threads", "--memory", "--shard",
                                                       "--work"};
  constexpr std::array<std::string_view, 5> kFlags{"--resume", "--overwrite", "--quiet",
                                                   "--no-lock", "--mixed-instruction-sets"};
  const auto is_one_of = [](const auto& names, std::string_view argument) {
    return std::find(names.begin(), names.end(), argument.substr(0, argument.find('='))) !=
           names.end();
  };
  std::string name = std::filesystem::path(argv[0]).filename();
  std::vector<char*> kept{name.data()};
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    if (is_one_of(kFlags, argument)) continue;
    if (!is_one_of(kWithValue, argument)) {
      kept.push_back(argv[i]);
    } else if (argument.find('=') == argument.npos) {
      ++i;  // its value
    }
  }
  return command_line(static_cast<int>(kept.size()), kept.data());
}

}  // namespace gramtile::apps
