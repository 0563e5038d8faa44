#include "apps/common/predict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <memory>
#include <utility>

#include "apps/common/command.hpp"
#include "apps/common/iteration_plan.hpp"
#include "apps/common/machine.hpp"
#include "apps/common/predict_run.hpp"
#include "apps/common/request.hpp"
#include "apps/common/signals.hpp"
#include "apps/common/streams.hpp"
#include "apps/common/units.hpp"
#include "engine/core/errors.hpp"
#include "engine/solve/blas.hpp"
#include "engine/solve/solve_options.hpp"
#include "io/job/output_names.hpp"

namespace gramtile::apps {
namespace {

/// What two runs must share to be the same run.
std::vector<SpecFact> facts_of_run(const PredictArguments& arguments, const KernelFile& kernels,
                                   const PredictTargets& targets) {
  const std::string jitter =
      arguments.jitter_relative ? fmt::format("{} of the mean diagonal", *arguments.jitter_relative)
                                : (arguments.jitter.empty() ? "0" : arguments.jitter);
  std::vector<SpecFact> facts{{"kernel file", kernels.content_hash()},
                              {"labels or targets", targets.hash()},
                              {"jitter", jitter},
                              {"tile of the factor", std::to_string(kFactorEdge)},
                              {"BLAS", blas::library_name()}};
  if (!arguments.iterates()) return facts;
  const SolveSize size = solve_size(arguments, kernels, targets);
  const Index rank = plan_iteration(size, arguments.compute.memory_bytes).rank;
  facts.push_back({"solver", "cg"});
  facts.push_back({"tolerance", fmt::format("{}", arguments.tolerance)});
  facts.push_back({"rank of the preconditioner (--memory)", std::to_string(rank)});
  return facts;
}

std::string describe_score(const Prediction& prediction, std::optional<double> score) {
  if (!score) return "";
  if (prediction.classes.empty()) return fmt::format("mean squared error {:.6g}", *score);
  return fmt::format("accuracy {:.2f} %", 100 * *score);
}

std::string describe_solve(const Prediction& prediction) {
  if (const auto& found = prediction.by_factor)
    return fmt::format("log marginal likelihood {:.10g}\n", found->log_marginal_likelihood) +
           fmt::format("log determinant         {:.10g}\n", found->log_determinant) +
           fmt::format("condition, about        {:.2g}\n", found->condition_estimate);
  const IterationFacts& facts = prediction.by_iteration.value();
  return fmt::format("iterations              {}, preconditioner of rank {}\n",
                     facts.num_iterations, facts.rank) +
         fmt::format("residual, at most       {:.2g}\n", facts.residual);
}

void print_table(const PredictArguments& arguments, const KernelFile& kernels,
                 const Prediction& prediction, double seconds) {
  const auto set_line = [](const ExampleSet& set, const std::string& what) {
    return fmt::format("{:<11} {:>9} images{}{}\n", set.name, format_count(set.num_examples),
                       what.empty() ? "" : "  ", what);
  };
  std::string text = set_line(
      kernels.training_set(),
      prediction.by_factor
          ? "leave-one-out " + describe_score(prediction, prediction.by_factor->leave_one_out_score)
          : "");
  for (const SetPrediction& predicted : prediction.sets)
    text += set_line(kernels.spec().sets[static_cast<std::size_t>(predicted.set)],
                     describe_score(prediction, predicted.score));
  text += fmt::format("jitter                  {:g}\n", prediction.jitter) +
          describe_solve(prediction) +
          fmt::format("{}: {} outputs in {}\n", arguments.compute.out, prediction.num_outputs,
                      format_seconds(seconds));
  print(stdout, text);
}

SolveFileOptions file_options(const PredictArguments& arguments, const KernelFile& kernels) {
  SolveFileOptions options;
  options.mode = start_mode(arguments.compute);
  options.work_folder = arguments.work;
  options.no_lock = arguments.compute.no_lock;
  options.notice = notice(arguments.compute.quiet);
  options.before_commit = [&kernels] { kernels.input().check_unchanged(); };
  return options;
}

}  // namespace

SolveSize solve_size(const PredictArguments& arguments, const KernelFile& kernels,
                     const PredictTargets& targets) {
  SolveSize size{.num_training = kernels.num_training(),
                 .num_outputs = targets.targets.num_outputs,
                 .num_threads = arguments.compute.num_threads,
                 .kernel_element_bytes = size_in_bytes(kernels.spec().data_type)};
  for (const CrossKernel& cross : kernels.crosses())
    size.num_variances += cross.diagonal ? kernels.set_of(cross).num_examples : 0;
  return size;
}

void check_predict_outputs(const PredictArguments& arguments, std::vector<std::string> inputs) {
  inputs.push_back(arguments.kernels);
  const std::string& out = arguments.compute.out;
  refuse_inputs_as_outputs(out, inputs);
  if (!arguments.work.empty() && !std::filesystem::is_directory(arguments.work))
    throw Error(ErrorKind::kCannotCreate, arguments.work + ": --work is no folder");
  const std::string work = SolveFiles::work_path(out, arguments.work);
  for (const std::string& input : inputs) {
    std::error_code ignored;
    if (std::filesystem::equivalent(work, input, ignored))
      throw Error(ErrorKind::kUsage,
                  fmt::format("--out {}: the run would replace {}, which is an input", out, work));
  }
}

PredictOutcome run_prediction(const PredictArguments& arguments, const KernelFile& kernels,
                              const PredictTargets& targets, const std::string& command,
                              std::stop_token stop) {
  const auto start = std::chrono::steady_clock::now();
  const std::vector<SpecFact> facts = facts_of_run(arguments, kernels, targets);
  SolveFiles files(arguments.compute.out, facts, creation_time(), file_options(arguments, kernels));
  if (files.already_finished()) return {.complete = true, .already_complete = true};
  const PredictJob job{
      arguments, kernels, targets, files, solve_size(arguments, kernels, targets), std::move(stop)};
  const auto run = arguments.iterates() ? make_iteration_run(job) : make_factor_run(job);
  PredictOutcome outcome;
  try {
    outcome.prediction = run->predict();
  } catch (const Error& error) {
    run->clear_progress();
    if (error.kind() == ErrorKind::kOther) files.abandon();  // no other start would end better
    if (error.kind() != ErrorKind::kInterrupted) throw;
    outcome.how_far = run->how_far();
    return outcome;
  }
  const RunSpec& spec = kernels.spec();
  const Index training = static_cast<Index>(&kernels.training_set() - spec.sets.data());
  files.finish(build_prediction(outcome.prediction,
                                {arguments.kernels, kernels.content_hash(), targets.origin,
                                 arguments.iterates() ? "cg" : "cholesky", blas::library_name(),
                                 command, files.created(), SolveFiles::fingerprint(facts)},
                                spec, training));
  outcome.complete = true;
  outcome.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return outcome;
}

int predict(const PredictArguments& arguments, const KernelFile& kernels,
            const PredictTargets& targets, const std::string& command,
            const std::string& resume_command) {
  const StopSignals signals;  // before any other thread
  check_threads(arguments.compute.num_threads);
  const std::string& out = arguments.compute.out;
  const PredictOutcome outcome =
      run_prediction(arguments, kernels, targets, command, signals.token());
  if (!outcome.complete) {
    print(stderr, fmt::format("{}: interrupted with {}; continue with: {}\n", out, outcome.how_far,
                              resume_command));
    return 128 + signals.received();
  }
  if (arguments.compute.quiet) return 0;
  if (outcome.already_complete) {
    print(stdout, fmt::format("{}: is complete already\n", out));
  } else {
    print_table(arguments, kernels, outcome.prediction, outcome.seconds);
  }
  return 0;
}

}  // namespace gramtile::apps
