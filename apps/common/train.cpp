#include "apps/common/train.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <chrono>
#include <utility>
#include <vector>

#include "apps/common/describe.hpp"
#include "apps/common/machine.hpp"
#include "apps/common/progress.hpp"
#include "apps/common/request.hpp"
#include "apps/common/signals.hpp"
#include "apps/common/streams.hpp"
#include "apps/common/units.hpp"
#include "engine/core/errors.hpp"
#include "io/network/network_json.hpp"

namespace gramtile::apps {
namespace {

OptimiserKind optimiser_of(const TrainArguments& arguments) {
  if (arguments.optimizer.empty()) return default_optimiser(arguments.options);
  if (arguments.optimizer == "adam") return OptimiserKind::kAdam;
  if (arguments.optimizer == "lbfgs") return OptimiserKind::kLbfgs;
  throw Error(ErrorKind::kUsage,
              "--optimizer: '" + arguments.optimizer + "' is neither adam nor lbfgs");
}

const Objective* objective_of(const TrainArguments& arguments) {
  if (const Objective* const found = find_objective(arguments.objective)) return found;
  std::vector<std::string> names;
  for (const Objective* objective : objectives()) names.emplace_back(objective->name());
  throw Error(ErrorKind::kUsage, fmt::format("--objective: '{}' is none of {}", arguments.objective,
                                             fmt::join(names, ", ")));
}

std::string describe_error(double error, bool classes) {
  return classes ? fmt::format("error {:.2f} %", 100 * error)
                 : fmt::format("mean squared error {:.6g}", error);
}

std::string_view name_of(TrainingPart part) {
  switch (part) {
    case TrainingPart::kKernel:
      return "K";
    case TrainingPart::kObjective:
      return "objective";
    case TrainingPart::kGradient:
      return "gradient";
    case TrainingPart::kValidation:
      break;
  }
  return "validation";
}

/// Step and what of it is in hand; objective, validation and time left, once they are known.
class StepProgress {
 public:
  StepProgress(const TrainJob& job, bool quiet)
      : total_(job.request().options.num_steps),
        classes_(!job.inputs().classes.empty()),
        status_(progress_style(quiet)) {}

  /// A step is made, or the first one begins.
  void made(const Trainer& trainer) {
    const auto& records = trainer.state().records;
    num_steps_ = static_cast<Index>(records.size());
    if (!first_) first_ = num_steps_;
    if (records.empty()) return;
    known_ = fmt::format("  objective {:.6g}", records.back().objective);
    for (auto r = records.rbegin(); r != records.rend(); ++r) {
      if (!r->validation) continue;
      known_ += "  validation " + describe_error(*r->validation, classes_);
      break;
    }
    seconds_ = status_.seconds();
  }

  void show(TrainingPart part, double share) {
    if (!status_.due()) return;
    std::string text = fmt::format("step {} of {}: {}", num_steps_ + 1, total_, name_of(part));
    if (share > 0) text += fmt::format(" {:.0f} %", 100 * share);
    text += known_;
    const auto made = static_cast<double>(num_steps_ - first_.value_or(0));
    if (made > 0)
      text +=
          fmt::format("  {} left at most",
                      format_seconds(static_cast<double>(total_ - num_steps_) * seconds_ / made));
    status_.show(text);
  }
  void clear() { status_.clear(); }

 private:
  const Index total_;
  const bool classes_;
  StatusLine status_;
  std::optional<Index> first_;  ///< steps that an interrupted run left
  Index num_steps_ = 0;
  double seconds_ = 0;  ///< until the last step was made
  std::string known_;
};

void print_result(const TrainJob& job, const TrainOutcome& outcome, double seconds) {
  const TrainRequest& request = job.request();
  if (outcome.already_complete)
    return print(stdout, fmt::format("{}: is complete already\n", request.out));
  const auto& parameters = job.inputs().inputs.program.parameters;
  std::string text;
  for (std::size_t p = 0; p < parameters.size(); ++p)
    text += fmt::format("{:<24} {:>10.6g} → {:.6g}\n", parameters[p].name, parameters[p].value,
                        outcome.values[p]);
  if (!request.options.noise_is_fixed)
    text +=
        fmt::format("{:<24} {:>10.6g} → {:.6g}\n", "noise", request.options.noise, outcome.noise);
  text += fmt::format("{:<24} {:>10.6g} → {:.6g}\n", request.options.objective->name(),
                      outcome.first_objective, outcome.last_objective);
  if (outcome.last_validation)
    text += "validation " +
            describe_error(*outcome.last_validation, !job.inputs().classes.empty()) + "\n";
  text += fmt::format("{}: {} steps in {}; {}\n", request.out, outcome.num_steps,
                      format_seconds(seconds), outcome.reason);
  print(stdout, text);
}

}  // namespace

TrainRequest train_request(const TrainArguments& arguments, std::string command) {
  const ComputeArguments& compute = arguments.compute;
  TrainRequest request;
  request.options = arguments.options;
  request.options.objective = objective_of(arguments);
  request.options.optimiser = optimiser_of(arguments);
  request.network = load_network(compute.network);
  request.network_name = compute.network;
  request.train.source = compute.train;
  request.train.label_source = compute.train_labels;
  request.validation.source = arguments.validation;
  request.validation.label_source = arguments.validation_labels;
  request.targets = arguments.targets;
  request.validation_targets = arguments.validation_targets;
  request.channels_last = compute.channels_last;
  request.data_type = compute.data_type;
  request.memory_bytes = compute.memory_bytes;
  request.num_threads = compute.num_threads;
  request.out = compute.out;
  request.network_out = arguments.network_out;
  request.work_folder = arguments.work;
  request.mode = start_mode(compute);
  request.no_lock = compute.no_lock;
  request.command = std::move(command);
  request.notice = notice(compute.quiet);
  return request;
}

int train(TrainRequest request, const TrainArguments& arguments,
          const std::string& resume_command) {
  const bool quiet = arguments.compute.quiet;
  TrainJob job(std::move(request));
  if (arguments.compute.dry_run) {
    print(stdout, describe_plan(job.plan(), job.request(), job.inputs().images().num_examples()));
    return 0;
  }
  if (!quiet) print_sets(job.inputs().inputs);
  const StopSignals signals;  // before any other thread
  check_threads(arguments.compute.num_threads);
  const auto start = std::chrono::steady_clock::now();
  StepProgress progress(job, quiet);
  const TrainOutcome outcome =
      job.run([&](const Trainer& now) { progress.made(now); }, signals.token(),
              [&](TrainingPart part, double share) { progress.show(part, share); });
  progress.clear();
  if (!outcome.complete) {
    print(stderr, fmt::format("{}: interrupted after {} of {} steps; continue with: {}\n",
                              job.request().out, outcome.num_steps, job.request().options.num_steps,
                              resume_command));
    return 128 + signals.received();
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (!quiet) print_result(job, outcome, seconds.count());
  return 0;
}

}  // namespace gramtile::apps
