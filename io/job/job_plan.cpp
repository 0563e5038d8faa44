#include "io/job/job_plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <variant>

#include "engine/backend/backend.hpp"
#include "engine/core/errors.hpp"
#include "io/job/checked_source.hpp"
#include "io/job/memory_budget.hpp"
#include "io/job/memory_charges.hpp"
#include "io/job/open_upstream.hpp"
#include "io/job/quantities.hpp"
#include "io/job/tile_choice.hpp"
#include "io/network/network_json.hpp"

namespace gramtile {
namespace {

// What the network takes as text, layers, operations, steps and facts, several times over (measured
// on mixtures of 500 to 5,000 branches).
constexpr std::size_t kBytesPerOperation = 4 << 10, kBytesPerSummand = 2 << 10,
                      kBytesPerParameter = 2 << 10;

std::size_t bytes_of_network(const Program& program) {
  std::size_t bytes =
      program.ops.size() * kBytesPerOperation + program.parameters.size() * kBytesPerParameter;
  struct NumSummands {
    std::size_t operator()(const Conv2dOp&) const { return 0; }
    std::size_t operator()(const ActivationOp&) const { return 0; }
    std::size_t operator()(const SumOp& sum) const { return sum.inputs.size(); }
  };
  for (const Op& op : program.ops) bytes += std::visit(NumSummands(), op) * kBytesPerSummand;
  return bytes;
}

void add_matrix(const Inputs& inputs, const JobMatrix& wanted, RunSpec& spec,
                std::vector<MatrixSpec>& matrices) {
  const Index rows = inputs.find(wanted.rows);
  const Index columns = wanted.columns.empty() ? rows : inputs.find(wanted.columns);
  if (rows < 0 || columns < 0) return;
  const auto size_of = [&](Index set) {
    return inputs.sets[static_cast<std::size_t>(set)].images().num_examples();
  };
  MatrixSpec matrix{.name = wanted.name, .kind = wanted.kind, .num_rows = size_of(rows)};
  matrix.num_columns = wanted.kind == MatrixKind::kDiagonal ? 1 : size_of(columns);
  matrices.push_back(std::move(matrix));
  spec.axes.push_back({.rows = rows, .columns = columns});
}

void describe_network(const Inputs& inputs, RunSpec& spec) {
  spec.network = to_json(inputs.network);
  for (const Parameter& parameter : inputs.program.parameters) {
    spec.parameter_names.push_back(parameter.name);
    spec.parameter_values.push_back(parameter.value);
  }
}

void describe_set(const InputSet& set, JobPlan& plan) {
  ExampleSet example_set;
  example_set.name = set.name;
  example_set.source = set.description;
  example_set.num_examples = set.images().num_examples();
  if (set.data != nullptr) {
    example_set.first = set.data->range().start;
    if (!set.data->selection().is_contiguous()) {
      example_set.scattered = true;
      example_set.positions = set.data->selection().images();
    }
  }
  example_set.labels = set.labels();
  plan.spec.sets.push_back(std::move(example_set));
  plan.sources.push_back(std::make_unique<CheckedSource>(set.images(), set.description));
}

// What was read from files, and what reading images takes.
void charge_inputs(const Inputs& inputs, MemoryCharges& charges) {
  const Program& program = inputs.program;
  charges.charge(bytes_of_network(program),
                 fmt::format("the network's {} operations and {} parameters",
                             format_count(static_cast<Index>(program.ops.size())),
                             format_count(static_cast<Index>(program.parameters.size()))));
  // One set is read at a time.
  const auto largest = std::ranges::max_element(inputs.sets, {}, &InputSet::unpack_bytes);
  charges.charge(largest->unpack_bytes(),
                 fmt::format("the compressed chunks of {}", largest->description));
}

// Opens ∂L/∂K and reads it once: bad entries are found now, and the spec gets its hash.
void open_upstream(const JobRequest& request, JobPlan& plan, MemoryCharges& charges) {
  InputRecorder recorder;
  OpenUpstream upstream = open_upstream(request.upstream, plan.spec.plan, charges);
  plan.own_upstream = std::move(upstream.owned);
  plan.upstream = upstream.source;
  plan.spec.upstream = std::move(upstream.description);
  plan.spec.upstream_hash = std::move(upstream.hash);
  plan.options.memory_bytes = charges.engine_bytes();
  std::ranges::move(recorder.take(), std::back_inserter(plan.inputs.files));
}

// Throws when the job's tiles do not fit.
void check_memory(const JobRequest& request, const JobPlan& plan, const MemoryCharges& charges) {
  const ComputeRequest compute = plan.compute_request();
  const auto fits = [&](std::size_t engine_bytes) {
    ComputeOptions options = plan.options;
    options.memory_bytes = engine_bytes - std::min(engine_bytes, charges.charged_bytes());
    try {
      plan_memory(compute, options);
      return true;
    } catch (const Error&) {
      return false;
    }
  };
  if (fits(share_memory(request.memory_bytes).engine_bytes)) return;
  const Index tile = plan.spec.plan.tile_size;
  throw Error(
      ErrorKind::kUsage,
      fmt::format("--memory {} is too little for tiles of {}×{} of this network; at least {} "
                  "are needed, or a smaller --tile{} or fewer --threads",
                  format_bytes(request.memory_bytes), tile, tile, format_bytes(least_memory(fits)),
                  request.shard ? " (the same for every share)" : ""));
}

void check_derivative(const JobRequest& request, const Inputs& inputs) {
  if (request.derivative == Derivative::kNone) return;
  if (inputs.program.parameters.empty())
    throw NetworkError(request.network_name, "has no trainable parameter to differentiate by");
  if (request.derivative == Derivative::kGradient && !request.upstream.is_given())
    throw Error(ErrorKind::kUsage, "a gradient needs an upstream matrix");
}

}  // namespace

ComputeRequest JobPlan::compute_request() const {
  ComputeRequest request;
  request.program = &inputs.program;
  request.plan = &spec.plan;
  for (std::size_t m = 0; m < spec.axes.size(); ++m) {
    const auto data = [&](Index set) { return sources[static_cast<std::size_t>(set)].get(); };
    const bool cross = spec.plan.matrices[m].kind == MatrixKind::kCross;
    request.sources.push_back(
        {.rows = data(spec.axes[m].rows), .columns = cross ? data(spec.axes[m].columns) : nullptr});
  }
  request.content = spec.content;
  request.upstream = upstream;
  return request;
}

JobPlan plan_job(const JobRequest& request) {
  JobPlan plan;
  plan.inputs = open_inputs(request.network, request.network_name, request.sets,
                            {.unpack_bytes = share_memory(request.memory_bytes).unpack_bytes,
                             .channels_last = request.channels_last,
                             .notice = request.notice});
  check_derivative(request, plan.inputs);
  MemoryCharges charges(request.memory_bytes);
  plan.options = {.data_type = request.data_type,
                  .num_threads = request.num_threads,
                  .memory_bytes = charges.engine_bytes(),
                  .backend = request.backend,
                  .abandon = request.abandon};
  RunSpec& spec = plan.spec;
  spec.data_type = request.data_type;
  spec.layout = request.layout;
  spec.content = content_of(request.with_kernel, request.derivative);
  spec.instruction_set = backend_of(plan.options).name();
  spec.command = request.command;
  spec.created = creation_time();
  std::vector<MatrixSpec> matrices;
  for (const JobMatrix& wanted : request.matrices) add_matrix(plan.inputs, wanted, spec, matrices);
  if (matrices.empty()) throw Error(ErrorKind::kUsage, "no matrix has images on all its axes");
  charge_inputs(plan.inputs, charges);
  plan.options.memory_bytes = charges.engine_bytes();
  spec.plan = plan_tiles_to_list(request, plan, std::move(matrices), charges);
  plan.options.memory_bytes = charges.engine_bytes();
  describe_network(plan.inputs, spec);
  for (const InputSet& set : plan.inputs.sets) describe_set(set, plan);
  if (request.derivative == Derivative::kGradient) open_upstream(request, plan, charges);
  check_memory(request, plan, charges);
  return plan;
}

}  // namespace gramtile
