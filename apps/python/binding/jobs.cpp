#include "apps/python/binding/jobs.hpp"

#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "apps/common/predict.hpp"
#include "apps/common/verify.hpp"
#include "apps/python/binding/interruptible.hpp"
#include "apps/python/binding/network.hpp"
#include "apps/python/binding/request.hpp"
#include "apps/python/binding/upstreams.hpp"
#include "engine/core/array_upstream.hpp"
#include "engine/core/errors.hpp"
#include "engine/core/kept_buffers.hpp"
#include "io/job/job.hpp"
#include "io/run/read/run_reader.hpp"
#include "io/train/train_job.hpp"

namespace gramtile::python {
namespace {

namespace nb = nanobind;

/// The bound of a job is the whole process: what calls over arrays have kept goes back first.
template <class Call>
void run_as_job(Call&& call) {
  keep_freed_buffers(0);
  run_interruptibly(std::forward<Call>(call));
}

JobMatrix job_matrix(const nb::handle& given) {
  const auto [name, kind, rows, columns] =
      nb::cast<std::tuple<std::string, std::string, std::string, std::string>>(given);
  return {name,
          kind == "symmetric"  ? MatrixKind::kSymmetric
          : kind == "diagonal" ? MatrixKind::kDiagonal
                               : MatrixKind::kCross,
          rows, columns};
}

/// ∂L/∂K of a request: of files, or the caller's.
class RequestedUpstream {
 public:
  RequestedUpstream(const nb::dict& request, Index num_rows, Index num_columns) {
    upstream_.matrix = get<std::string>(request, "upstream_file", "");
    upstream_.factors = get<std::vector<std::string>>(request, "upstream_factors_files", {});
    const auto given = get<nb::object>(request, "upstream", nb::none());
    if (given.is_none()) return;
    values_ = caller_upstream(given, num_rows, num_columns, arrays_);
    upstream_.values = values_.get();
    upstream_.description = "an array of Python's";
  }

  const JobUpstream& upstream() const { return upstream_; }

 private:
  std::vector<ReadOnlyArray> arrays_;
  std::unique_ptr<MatrixSource> values_;
  JobUpstream upstream_;
};

JobRequest job_request(const SharedNetwork& network, const nb::dict& request) {
  JobRequest job;
  job.network = network.network();
  job.network_name = network.origin();
  for (const nb::handle matrix : request["matrices"]) job.matrices.push_back(job_matrix(matrix));
  job.with_kernel = get(request, "with_kernel", true);
  const auto derivative = get<std::string>(request, "derivative", "none");
  job.derivative = derivative == "gradient"   ? Derivative::kGradient
                   : derivative == "jacobian" ? Derivative::kJacobian
                                              : Derivative::kNone;
  job.data_type = data_type(request);
  job.tile_size = get<Index>(request, "tile", 0);
  job.memory_bytes = get<std::size_t>(request, "memory", job.memory_bytes);
  job.num_threads = get(request, "threads", 0);
  job.channels_last = get(request, "channels_last", false);
  job.out = get<std::string>(request, "out", "");
  job.mode = start_mode(request);
  if (const auto shard = get<std::pair<Index, Index>>(request, "shard", {0, 0}); shard.second > 0)
    job.shard = Shard{shard.first, shard.second};
  if (get<std::string>(request, "layout", "plain") == "cnn-gp") job.layout = DatasetLayout::kCnnGp;
  job.command = get<std::string>(request, "command", "");
  return job;
}

nb::dict run_job(const SharedNetwork& network, const nb::dict& request, const nb::object& progress,
                 const nb::object& notice) {
  std::deque<RequestedSet> sets = requested_sets(request);
  const RequestedUpstream upstream(request, get<Index>(request, "upstream_rows", 0),
                                   get<Index>(request, "upstream_columns", 0));
  JobRequest job = job_request(network, request);
  job.upstream = upstream.upstream();
  const Callback tell_notice(notice);
  job.notice = [&](const std::string& text) { tell_notice(text); };
  Progress tell{Callback(progress)};
  JobOutcome outcome;
  run_as_job([&](std::stop_token stop) {
    job.abandon = std::move(stop);
    for (RequestedSet& set : sets) job.sets.push_back(set.open());
    outcome = gramtile::run_job(std::move(job), [&](const JobProgress& now) {
      tell.tell(static_cast<double>(now.done_pairs), static_cast<double>(now.total_pairs));
    });
  });
  nb::dict result;
  result["already_complete"] = outcome.already_complete;
  result["computed_pairs"] = outcome.computed_pairs;
  result["seconds"] = outcome.seconds;
  return result;
}

apps::PredictArguments predict_arguments(const nb::dict& request) {
  apps::PredictArguments arguments;
  const auto text = [&](const char* key) { return get<std::string>(request, key, ""); };
  arguments.kernels = text("kernels");
  arguments.labels = text("labels");
  arguments.validation_labels = text("validation_labels");
  arguments.test_labels = text("test_labels");
  arguments.targets = text("targets");
  arguments.validation_targets = text("validation_targets");
  arguments.test_targets = text("test_targets");
  arguments.jitter = text("jitter");
  if (request.contains("jitter_relative") && !request["jitter_relative"].is_none())
    arguments.jitter_relative = nb::cast<double>(request["jitter_relative"]);
  arguments.solver = get<std::string>(request, "solver", "auto");
  arguments.tolerance = get(request, "tolerance", arguments.tolerance);
  arguments.work = text("work");
  arguments.compute.out = text("out");
  arguments.compute.memory_bytes =
      get<std::size_t>(request, "memory", arguments.compute.memory_bytes);
  arguments.compute.num_threads = get(request, "threads", 1);
  arguments.compute.resume = start_mode(request) == StartMode::kResume;
  arguments.compute.overwrite = start_mode(request) == StartMode::kOverwrite;
  arguments.compute.quiet = true;
  return arguments;
}

void run_prediction(const nb::dict& request, const nb::object& progress, const nb::object& notice) {
  apps::PredictArguments arguments = predict_arguments(request);
  const auto command = get<std::string>(request, "command", "");
  Progress tell{Callback(progress)};
  arguments.on_progress = [&](double part) { tell.tell(part, 1); };
  const Callback tell_notice(notice);
  run_as_job([&](std::stop_token stop) {
    apps::settle_output(arguments.compute);
    const KernelFile kernels(arguments.kernels);
    const apps::PredictTargets targets =
        apps::read_targets(arguments, kernels, [&](const std::string& text) { tell_notice(text); });
    apps::check_predict_outputs(arguments, targets.files);
    const auto outcome = apps::run_prediction(arguments, kernels, targets, command, stop);
    if (!outcome.complete)
      throw Error(ErrorKind::kInterrupted, arguments.compute.out + ": interrupted");
  });
}

TrainingOptions training_options(const nb::dict& request) {
  TrainingOptions options;
  const auto objective = get<std::string>(request, "objective", "");
  options.objective = find_objective(objective);
  if (options.objective == nullptr)
    throw Error(ErrorKind::kUsage, "objective: there is none called '" + objective + "'");
  options.num_steps = get(request, "steps", options.num_steps);
  options.batch = get<Index>(request, "batch", 0);
  options.sub_batch = get<Index>(request, "sub_batch", 0);
  const auto optimiser = get<std::string>(request, "optimizer", "");
  options.optimiser = optimiser.empty()     ? default_optimiser(options)
                      : optimiser == "adam" ? OptimiserKind::kAdam
                                            : OptimiserKind::kLbfgs;
  options.steps.learning_rate = get(request, "learning_rate", options.steps.learning_rate);
  options.steps.max_step = get(request, "max_step", options.steps.max_step);
  options.noise = get(request, "noise", options.noise);
  options.noise_is_fixed = get(request, "fix_noise", false);
  options.seed = get<std::uint64_t>(request, "seed", 0);
  options.validate_every = get<Index>(request, "validate_every", 0);
  return options;
}

TrainRequest train_request(const SharedNetwork& network, const nb::dict& request) {
  TrainRequest train;
  train.network = network.network();
  train.network_name = network.origin();
  train.targets = get<std::string>(request, "targets", "");
  train.validation_targets = get<std::string>(request, "validation_targets", "");
  train.channels_last = get(request, "channels_last", false);
  train.options = training_options(request);
  train.data_type = data_type(request);
  train.memory_bytes = get<std::size_t>(request, "memory", train.memory_bytes);
  train.num_threads = get(request, "threads", 0);
  train.out = get<std::string>(request, "out", "");
  train.network_out = get<std::string>(request, "network_out", "");
  train.work_folder = get<std::string>(request, "work", "");
  train.mode = start_mode(request);
  train.command = get<std::string>(request, "command", "");
  return train;
}

/// `progress` is told (steps, of so many, objective) after each step.
void run_training(const SharedNetwork& network, const nb::dict& request, const nb::object& progress,
                  const nb::object& notice) {
  std::deque<RequestedSet> sets = requested_sets(request);
  TrainRequest train = train_request(network, request);
  const Callback tell(progress), tell_notice(notice);
  train.notice = [&](const std::string& text) { tell_notice(text); };
  const Index num_steps = train.options.num_steps;
  run_as_job([&](std::stop_token stop) {
    for (RequestedSet& set : sets) {
      JobSet opened = set.open();
      JobSet& to = opened.role == DatasetRole::kValidation ? train.validation : train.train;
      to = std::move(opened);
    }
    const std::string out = train.out;
    TrainJob job(std::move(train));
    const TrainOutcome outcome = job.run(
        [&](const Trainer& now) {
          const auto& records = now.state().records;
          if (!records.empty()) tell(records.size(), num_steps, records.back().objective);
        },
        std::move(stop));
    if (!outcome.complete) throw Error(ErrorKind::kInterrupted, out + ": interrupted");
  });
}

/// (check, passed, damaged, detail) of each check of kernel-verify that needs the file alone.
nb::list verify(const std::string& path, const nb::object& progress) {
  std::vector<apps::Finding> findings;
  Progress tell{Callback(progress)};
  run_as_job([&](std::stop_token stop) {
    const RunReader reader(path);
    const TilePlan& plan = reader.spec().plan;
    Index total = 0, done = 0;
    for (const Index tile : reader.tiles())
      total += plan.num_pairs(plan.tiles[static_cast<std::size_t>(tile)]);
    findings = apps::check_file(reader, [&](const Tile& tile) {
      if (stop.stop_requested()) throw Error(ErrorKind::kInterrupted, path + ": interrupted");
      done += plan.num_pairs(tile);
      tell.tell(static_cast<double>(std::min(done, total)), static_cast<double>(total));
    });
  });
  nb::list result;
  for (const apps::Finding& f : findings)
    result.append(nb::make_tuple(f.check, f.passed, f.damaged, f.detail));
  return result;
}

}  // namespace

void bind_jobs(nb::module_& module) {
  module.def("run_job", &run_job, nb::arg("network"), nb::arg("request"),
             nb::arg("progress").none(), nb::arg("notice").none());
  module.def("run_prediction", &run_prediction, nb::arg("request"), nb::arg("progress").none(),
             nb::arg("notice").none());
  module.def("run_training", &run_training, nb::arg("network"), nb::arg("request"),
             nb::arg("progress").none(), nb::arg("notice").none());
  module.def("verify", &verify, nb::arg("path"), nb::arg("progress").none());
}

}  // namespace gramtile::python
