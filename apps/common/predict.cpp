#include "apps/common/predict.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <memory>

#include "apps/common/command.hpp"
#include "apps/common/factor_search.hpp"
#include "apps/common/machine.hpp"
#include "apps/common/progress.hpp"
#include "apps/common/request.hpp"
#include "apps/common/signals.hpp"
#include "apps/common/streams.hpp"
#include "apps/common/units.hpp"
#include "engine/core/errors.hpp"
#include "engine/solve/solve_context.hpp"
#include "engine/solve/triangular.hpp"
#include "io/solve/prediction_file.hpp"
#include "io/solve/solve_files.hpp"

namespace gramtile::apps {
namespace {

// Progress counts whole millions.
constexpr double kProgressFlops = 1e6;

class Run {
 public:
  Run(const PredictArguments& arguments, const KernelFile& kernels, const PredictTargets& targets,
      SolveFiles& files, std::stop_token stop)
      : arguments_(arguments),
        kernels_(kernels),
        targets_(targets),
        files_(files),
        size_(solve_size(arguments, kernels, targets)),
        plan_(plan_solve(size_, arguments.compute.memory_bytes, files.has_work())),
        progress_(progress_style(arguments.compute.quiet),
                  static_cast<Index>(plan_.flops / kProgressFlops), 0, "MFLOP"),
        options_{.num_threads = arguments.compute.num_threads,
                 .edge = plan_.grid.edge,
                 .memory_bytes = plan_.working_bytes,
                 .stop = std::move(stop),
                 .on_progress = [this](double flops) { advance(flops); }} {}

  Prediction predict() {
    check_kernel_file();
    SolveContext context(options_);
    const KernelFacts facts = examine(kernels_.kernel(), context);
    open_store();
    FactorSearch search(kernels_, facts, *store_, work_, context);
    const double jitter = factor(search, facts);
    const KernelSolver solver(kernels_.kernel(), facts, jitter, *store_, options_);
    Prediction result = describe_training(solver);
    for (std::size_t s = 0; s < kernels_.crosses().size(); ++s)
      result.sets.push_back(predict_set(solver, result, s));
    progress_.clear();
    return result;
  }

  void clear_progress() { progress_.clear(); }

 private:
  void advance(double flops) {
    flops_ += flops;
    const auto whole = static_cast<Index>(flops_ / kProgressFlops);
    flops_ -= static_cast<double>(whole) * kProgressFlops;
    progress_.advance(whole);
  }

  void check_kernel_file() {
    kernels_.check_tiles([&](Index, Index) {
      progress_.advance(0);
      if (options_.stop.stop_requested()) throw Error(ErrorKind::kInterrupted, "interrupted");
    });
  }

  /// What an interrupted run left counts as done.
  void count_kept() {
    const double flops =
        factorisation_flops(plan_.grid) - factorisation_flops(plan_.grid, store_->num_kept());
    advance(flops);
  }

  void open_store() {
    if (plan_.in_memory) {
      own_store_ = std::make_unique<MemoryStore>(plan_.grid);
      store_ = own_store_.get();
    } else {
      work_ = &files_.open_work(plan_.grid, plan_.working_bytes);
      store_ = work_;
    }
    count_kept();
  }

  double factor(FactorSearch& search, const KernelFacts& facts) {
    if (arguments_.jitter == "auto") return search.factor_with_least_jitter();
    double jitter = 0;
    if (!arguments_.jitter.empty()) jitter = std::stod(arguments_.jitter);
    if (arguments_.jitter_relative) jitter = *arguments_.jitter_relative * facts.mean_diagonal();
    search.factor(jitter);
    return jitter;
  }

  Prediction describe_training(const KernelSolver& solver) {
    Prediction result;
    result.num_outputs = targets_.targets.num_outputs;
    result.classes = targets_.classes;
    result.jitter = solver.jitter();
    result.coefficients = coefficients(solver, targets_.targets);
    result.log_determinant = solver.log_determinant();
    result.log_marginal_likelihood =
        log_marginal_likelihood(targets_.targets, result.coefficients, result.log_determinant);
    result.condition_estimate = solver.condition_estimate();
    result.leave_one_out =
        leave_one_out(targets_.targets, result.coefficients, solver.inverse_diagonal());
    result.leave_one_out_score =
        *score(result.leave_one_out.mean, true_classes(), targets_.targets.values);
    return result;
  }

  /// Classes of the training images, from their one-hot targets.
  std::vector<std::int64_t> true_classes() const {
    if (targets_.classes.empty()) return {};
    return classes_of(targets_.targets.values, targets_.classes);
  }

  /// Accuracy or mean squared error; nothing where the answers are not known.
  std::optional<double> score(std::span<const double> mean, std::span<const std::int64_t> labels,
                              std::span<const double> numbers) const {
    if (!targets_.classes.empty()) {
      if (labels.empty()) return std::nullopt;
      return accuracy(classes_of(mean, targets_.classes), labels);
    }
    if (numbers.empty()) return std::nullopt;
    return mean_squared_error(mean, numbers);
  }

  SetPrediction predict_set(const KernelSolver& solver, const Prediction& trained, std::size_t s) {
    const CrossKernel& cross = kernels_.crosses()[s];
    const Index n = size_.num_training, count = kernels_.set_of(cross).num_examples;
    SetPrediction result{.set = cross.set, .mean = {}, .variance = {}, .classes = {}, .score = {}};
    if (cross.diagonal) result.variance = kernels_.read_diagonal(cross);
    const Index step = columns_in(plan_.working_bytes, n, count);
    std::vector<double> rows;
    for (Index start = 0; start < count; start += step) {
      const Range range{start, std::min(start + step, count)};
      rows.resize(static_cast<std::size_t>(range.size() * n));
      kernels_.read_rows(cross, range, rows);
      const auto mean = predictive_mean(rows, trained.coefficients, trained.num_outputs);
      result.mean.insert(result.mean.end(), mean.begin(), mean.end());
      if (result.variance.empty()) continue;
      const auto forms = solver.quadratic_forms(rows, range.size());
      for (std::size_t i = 0; i < forms.size(); ++i)
        result.variance[static_cast<std::size_t>(start) + i] -= forms[i];
    }
    const KnownAnswers& answers = targets_.answers[s];
    result.score = score(result.mean, answers.labels, answers.targets);
    if (!targets_.classes.empty()) result.classes = classes_of(result.mean, targets_.classes);
    return result;
  }

  const PredictArguments& arguments_;
  const KernelFile& kernels_;
  const PredictTargets& targets_;
  SolveFiles& files_;
  const SolveSize size_;
  const SolvePlan plan_;
  Progress progress_;
  double flops_ = 0;  ///< not yet reported
  SolverOptions options_;
  std::unique_ptr<MemoryStore> own_store_;
  FactorStore* store_ = nullptr;
  WorkFile* work_ = nullptr;
};

/// What two runs must share to be the same run.
std::vector<SpecFact> facts_of_run(const PredictArguments& arguments, const KernelFile& kernels,
                                   const PredictTargets& targets) {
  const std::string jitter =
      arguments.jitter_relative ? fmt::format("{} of the mean diagonal", *arguments.jitter_relative)
                                : (arguments.jitter.empty() ? "0" : arguments.jitter);
  return {{"kernel file", kernels.content_hash()},
          {"labels or targets", targets.hash()},
          {"jitter", jitter},
          {"tile of the factor", std::to_string(kFactorEdge)},
          {"BLAS", blas::library_name()}};
}

std::string describe_score(const Prediction& prediction, std::optional<double> score) {
  if (!score) return "";
  if (prediction.classes.empty()) return fmt::format("mean squared error {:.6g}", *score);
  return fmt::format("accuracy {:.2f} %", 100 * *score);
}

void print_table(const PredictArguments& arguments, const KernelFile& kernels,
                 const Prediction& prediction, double seconds) {
  const auto set_line = [](const ExampleSet& set, const std::string& what) {
    return fmt::format("{:<11} {:>9} images{}{}\n", set.name, format_count(set.num_examples),
                       what.empty() ? "" : "  ", what);
  };
  std::string text =
      set_line(kernels.training_set(),
               "leave-one-out " + describe_score(prediction, prediction.leave_one_out_score));
  for (const SetPrediction& predicted : prediction.sets)
    text += set_line(kernels.spec().sets[static_cast<std::size_t>(predicted.set)],
                     describe_score(prediction, predicted.score));
  text += fmt::format("jitter                  {:g}\n", prediction.jitter) +
          fmt::format("log marginal likelihood {:.10g}\n", prediction.log_marginal_likelihood) +
          fmt::format("log determinant         {:.10g}\n", prediction.log_determinant) +
          fmt::format("condition, about        {:.2g}\n", prediction.condition_estimate) +
          fmt::format("{}: {} outputs in {}\n", arguments.compute.out, prediction.num_outputs,
                      format_seconds(seconds));
  print(stdout, text);
}

int report_interruption(const PredictArguments& arguments, const SolveFiles& files,
                        Index num_blocks, const std::string& resume_command, int signal) {
  print(stderr,
        fmt::format("{}: interrupted with {} of {} block columns on disk; continue with: {}\n",
                    arguments.compute.out, files.num_kept(), num_blocks, resume_command));
  return 128 + signal;
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

int predict(const PredictArguments& arguments, const KernelFile& kernels,
            const PredictTargets& targets, const std::string& command,
            const std::string& resume_command) {
  const StopSignals signals;  // before any other thread
  check_threads(arguments.compute.num_threads);
  const auto start = std::chrono::steady_clock::now();
  const std::vector<SpecFact> facts = facts_of_run(arguments, kernels, targets);
  SolveFiles files(arguments.compute.out, facts, creation_time(), file_options(arguments, kernels));
  if (files.already_finished()) {
    if (!arguments.compute.quiet)
      print(stdout, fmt::format("{}: is complete already\n", arguments.compute.out));
    return 0;
  }
  Run run(arguments, kernels, targets, files, signals.token());
  Prediction prediction;
  try {
    prediction = run.predict();
  } catch (const Error& error) {
    run.clear_progress();
    if (error.kind() == ErrorKind::kOther) files.abandon();  // no other start would end better
    if (error.kind() != ErrorKind::kInterrupted) throw;
    const FactorGrid grid{kernels.num_training(), kFactorEdge};
    return report_interruption(arguments, files, grid.num_blocks(), resume_command,
                               signals.received());
  }
  const RunSpec& spec = kernels.spec();
  const Index training = static_cast<Index>(&kernels.training_set() - spec.sets.data());
  files.finish(build_prediction(
      prediction,
      {arguments.kernels, kernels.content_hash(), targets.origin, "cholesky", blas::library_name(),
       command, files.created(), SolveFiles::fingerprint(facts)},
      spec, training));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  if (!arguments.compute.quiet) print_table(arguments, kernels, prediction, seconds.count());
  return 0;
}

}  // namespace gramtile::apps
