// kernel-predict by a Cholesky factor: everything there is.
#include <fmt/format.h>

#include <algorithm>

#include "apps/common/factor_search.hpp"
#include "apps/common/predict_run.hpp"
#include "apps/common/predict_sets.hpp"
#include "apps/common/progress.hpp"
#include "engine/solve/solve_context.hpp"

namespace gramtile::apps {
namespace {

// Progress counts whole millions.
constexpr double kProgressFlops = 1e6;

class FactorRun final : public PredictRun {
 public:
  explicit FactorRun(const PredictJob& job)
      : job_(job),
        plan_(plan_solve(job.size, job.arguments.compute.memory_bytes, job.files.has_work())),
        progress_(progress_style(job.arguments.compute.quiet),
                  static_cast<Index>(plan_.flops / kProgressFlops), 0, "MFLOP"),
        options_{.num_threads = job.arguments.compute.num_threads,
                 .edge = plan_.grid.edge,
                 .memory_bytes = plan_.working_bytes,
                 .stop = job.stop,
                 .on_progress = [this](double flops) { advance(flops); }} {}

  Prediction predict() override {
    SolveContext context(options_);
    const KernelFacts facts = job_.kernels.check_and_examine(context);
    open_store();
    FactorSearch search(job_.kernels, facts, *store_, work_, context);
    const double jitter = factor(search, facts);
    const KernelSolver solver(job_.kernels.kernel(), facts, jitter, *store_, options_);
    Prediction result = describe_training(solver);
    result.sets = predict_sets(job_.kernels, job_.targets, result, &solver, plan_.working_bytes);
    progress_.clear();
    return result;
  }

  void clear_progress() override { progress_.clear(); }

  std::string how_far() const override {
    return fmt::format("{} of {} block columns on disk", job_.files.num_kept(),
                       plan_.grid.num_blocks());
  }

 private:
  void advance(double flops) {
    flops_ += flops;
    const auto whole = static_cast<Index>(flops_ / kProgressFlops);
    flops_ -= static_cast<double>(whole) * kProgressFlops;
    progress_.advance(whole);
    done_ += flops;
    if (job_.arguments.on_progress)
      job_.arguments.on_progress(std::min(1.0, done_ / std::max(plan_.flops, 1.0)));
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
      work_ = &job_.files.open_work(plan_.grid, plan_.working_bytes);
      store_ = work_;
    }
    count_kept();
  }

  double factor(FactorSearch& search, const KernelFacts& facts) {
    const auto jitter = given_jitter(job_.arguments, facts);
    if (!jitter) return search.factor_with_least_jitter();
    search.factor(*jitter);
    return *jitter;
  }

  Prediction describe_training(const KernelSolver& solver) {
    const Targets& targets = job_.targets.targets;
    Prediction result;
    result.num_outputs = targets.num_outputs;
    result.classes = job_.targets.classes;
    result.jitter = solver.jitter();
    result.coefficients = coefficients(solver, targets);
    FactorPrediction& found = result.by_factor.emplace();
    found.log_determinant = solver.log_determinant();
    found.log_marginal_likelihood =
        log_marginal_likelihood(targets, result.coefficients, found.log_determinant);
    found.condition_estimate = solver.condition_estimate();
    found.leave_one_out = leave_one_out(targets, result.coefficients, solver.inverse_diagonal());
    found.leave_one_out_score = training_score(job_.targets, found.leave_one_out.mean);
    return result;
  }

  const PredictJob job_;
  const SolvePlan plan_;
  Progress progress_;
  double flops_ = 0;  ///< not yet reported in whole millions
  double done_ = 0;   ///< of the plan's flops; more where a jitter is searched for
  SolverOptions options_;
  std::unique_ptr<MemoryStore> own_store_;
  FactorStore* store_ = nullptr;
  WorkFile* work_ = nullptr;
};

}  // namespace

std::optional<double> given_jitter(const PredictArguments& arguments, const KernelFacts& facts) {
  if (arguments.jitter == "auto") return std::nullopt;
  if (arguments.jitter_relative) return *arguments.jitter_relative * facts.mean_diagonal();
  return arguments.jitter.empty() ? 0 : std::stod(arguments.jitter);
}

std::unique_ptr<PredictRun> make_factor_run(const PredictJob& job) {
  return std::make_unique<FactorRun>(job);
}

}  // namespace gramtile::apps
