#include "io/train/train_job.hpp"

#include <fmt/format.h>

#include <array>
#include <ctime>
#include <filesystem>

#include "engine/core/errors.hpp"
#include "engine/core/version.hpp"
#include "engine/network/parameter_values.hpp"
#include "engine/simd/instruction_set.hpp"
#include "engine/solve/blas.hpp"
#include "io/job/checked_source.hpp"
#include "io/job/output_names.hpp"
#include "io/network/network_json.hpp"
#include "io/run/spec/content_hash.hpp"
#include "io/run/spec/run_image.hpp"
#include "io/solve/solve_files.hpp"
#include "io/train/disk_room.hpp"
#include "io/train/training_file.hpp"

namespace gramtile {
namespace {

TrainRequest with_settled_output(TrainRequest request) {
  request.out = settle_output(request.out, request.mode);
  return request;
}

std::string hash_of(const std::vector<double>& values) {
  ContentHasher hasher;
  hasher.add(std::as_bytes(std::span(values)));
  return hasher.digest();
}

SolveFileOptions file_options(const TrainRequest& request, const std::vector<InputFile>& inputs) {
  SolveFileOptions options;
  options.mode = request.mode;
  options.no_lock = request.no_lock;
  options.keeps_state = true;
  options.notice = request.notice;
  options.before_commit = [&inputs] {
    for (const InputFile& file : inputs) file.check_unchanged();
  };
  return options;
}

/// Replaced in one step, so that there is never half of one.
void write_network_file(const std::string& path, const Network& network) {
  FileSystem& system = posix_file_system();
  const std::string beside = path + ".new";
  const std::string text = to_json(network) + "\n";
  remove_file(system, beside);
  {
    File file(system, beside, OpenMode::kCreateNew);
    file.write(0, std::as_bytes(std::span(text)));
    file.sync();
  }
  rename_file(system, beside, path, true);
  sync_folder_of(system, path);
}

TrainOutcome outcome_of(const Trainer& trainer) {
  const TrainingState& state = trainer.state();
  TrainOutcome outcome{.num_steps = static_cast<Index>(state.records.size()),
                       .reason = state.reason,
                       .values = trainer.values(),
                       .noise = trainer.noise()};
  if (!state.records.empty()) {
    outcome.first_objective = state.records.front().objective;
    outcome.last_objective = state.records.back().objective;
  }
  for (const TrainingRecord& record : state.records) {
    if (!record.validation) continue;
    if (!outcome.first_validation) outcome.first_validation = record.validation;
    outcome.last_validation = record.validation;
  }
  return outcome;
}

}  // namespace

TrainJob::TrainJob(TrainRequest request)
    : request_(with_settled_output(std::move(request))), inputs_(open_train_inputs(request_)) {
  refuse_inputs_as_outputs(request_.out, inputs_.inputs.files);
  refuse_inputs_as_outputs(request_.out, std::array{request_.network_name});
  if (!request_.work_folder.empty() && !std::filesystem::is_directory(request_.work_folder))
    throw Error(ErrorKind::kCannotCreate, request_.work_folder + ": --work is no folder");
  check_training_options(request_.options, inputs_.images().num_examples());
  ParameterSpace(inputs_.inputs.program, request_.options.noise, request_.options.noise_is_fixed);
  plan_ = plan_training(request_, inputs_.inputs.program, inputs_.images().num_examples(),
                        inputs_.targets.num_outputs);
  for (const InputSet& set : inputs_.inputs.sets)
    checked_.push_back(std::make_unique<CheckedSource>(set.images(), set.description));
}

TrainJob::~TrainJob() = default;

void TrainJob::read_inputs(const std::stop_token& stop) {
  bool nonnegative = true;
  for (const auto& source : checked_) {
    SourceContents contents = read_contents(*source, stop);
    hashes_.push_back(std::move(contents.hash));
    nonnegative = nonnegative && contents.nonnegative;
  }
  if (nonnegative) assume_nonnegative_images(inputs_.inputs.program);
}

std::vector<SpecFact> TrainJob::facts() const {
  const TrainingOptions& o = request_.options;
  const auto number = [](double value) { return fmt::format("{}", value); };
  std::vector<SpecFact> facts{{"network", to_json(inputs_.inputs.network)},
                              {"training images", hashes_.front()},
                              {"targets", hash_of(inputs_.targets.values)},
                              {"objective", std::string(o.objective->name())},
                              {"optimizer", std::string(name_of(o.optimiser))},
                              {"steps", std::to_string(o.num_steps)},
                              {"batch", fmt::format("{}, {}", o.batch, o.sub_batch)},
                              {"learning rate, largest step",
                               number(o.steps.learning_rate) + ", " + number(o.steps.max_step)},
                              {"noise", number(o.noise) + (o.noise_is_fixed ? ", fixed" : "")},
                              {"seed", std::to_string(o.seed)},
                              {"steps between validations", std::to_string(o.validate_every)},
                              {"data type", std::string(name_of(request_.data_type))},
                              {"instruction set", std::string(instruction_set())},
                              {"version of the numbers", std::to_string(kNumericsVersion)},
                              {"BLAS", blas::library_name()}};
  if (hashes_.size() > 1) facts.push_back({"validation images", hashes_[1]});
  return facts;
}

ComputeOptions TrainJob::compute_options(std::stop_token stop) const {
  return {.data_type = request_.data_type,
          .num_threads = request_.num_threads,
          .memory_bytes = plan_.engine_bytes,
          .abandon = std::move(stop)};
}

std::unique_ptr<MatrixRoom> TrainJob::make_room(std::stop_token stop,
                                                const TrainingWatch& watch) const {
  SolverOptions options{.num_threads = request_.num_threads,
                        .memory_bytes = plan_.working_bytes,
                        .stop = std::move(stop)};
  if (watch) options.on_progress = [watch](double) { watch(TrainingPart::kObjective, 0); };
  if (plan_.in_memory) return make_memory_room(options);
  std::string folder = request_.work_folder;
  if (folder.empty()) folder = std::filesystem::path(request_.out).parent_path().string();
  return make_disk_room(folder.empty() ? "." : folder, options);
}

TrainOutcome TrainJob::run(const std::function<void(const Trainer&)>& on_step, std::stop_token stop,
                           const TrainingWatch& watch) {
  try {
    read_inputs(stop);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kInterrupted) throw;
    return {};
  }
  const std::vector<SpecFact> run_facts = facts();
  SolveFiles files(request_.out, run_facts, creation_time(),
                   file_options(request_, inputs_.inputs.files));
  if (files.already_finished()) {
    TrainOutcome finished;
    finished.complete = finished.already_complete = true;
    return finished;
  }
  std::optional<TrainingState> state;
  if (!files.state_path().empty()) state = read_training(files.state_path());
  const auto room = make_room(stop, watch);
  std::optional<ValidationSet> validation;
  if (const InputSet* const set = inputs_.validation())
    validation.emplace(*checked_[1], inputs_.validation_targets, set->labels(), inputs_.classes);
  Trainer trainer(inputs_.inputs.program, {*checked_.front(), inputs_.targets},
                  std::move(validation), request_.options, *room, compute_options(stop),
                  std::move(state));
  trainer.notice = request_.notice;
  trainer.watch = watch;
  const InputSet* const set = inputs_.validation();
  const TrainingOrigin origin{.network = to_json(inputs_.inputs.network),
                              .training_source = inputs_.inputs.sets.front().description,
                              .validation_source = set != nullptr ? set->description : "",
                              .targets = inputs_.origin,
                              .data_type = std::string(name_of(request_.data_type)),
                              .instruction_set = std::string(instruction_set()),
                              .blas = blas::library_name(),
                              .command = request_.command,
                              .created = files.created(),
                              .fingerprint = SolveFiles::fingerprint(run_facts)};
  if (on_step) on_step(trainer);
  while (!trainer.state().ended) {
    try {
      trainer.step(stop);
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::kInterrupted) throw;
      return outcome_of(trainer);
    }
    files.keep_state(build_training(trainer, inputs_.inputs.network, request_.options, origin));
    if (on_step) on_step(trainer);
  }
  if (!request_.network_out.empty())
    write_network_file(request_.network_out,
                       with_parameter_values(inputs_.inputs.network, trainer.values()));
  files.finish_with_state();
  TrainOutcome outcome = outcome_of(trainer);
  outcome.complete = true;
  return outcome;
}

}  // namespace gramtile
