// kernel-predict by conjugate gradients: coefficients and means.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "apps/common/iteration_plan.hpp"
#include "apps/common/predict_run.hpp"
#include "apps/common/predict_sets.hpp"
#include "apps/common/progress.hpp"
#include "apps/common/units.hpp"
#include "engine/solve/conjugate_gradients.hpp"
#include "engine/solve/solve_context.hpp"

namespace gramtile::apps {
namespace {

class IterationRun final : public PredictRun {
 public:
  explicit IterationRun(const PredictJob& job)
      : job_(job),
        plan_(plan_iteration(job.size, job.arguments.compute.memory_bytes)),
        status_(progress_style(job.arguments.compute.quiet)),
        options_{.num_threads = job.arguments.compute.num_threads,
                 .memory_bytes = plan_.working_bytes,
                 .stop = job.stop,
                 .on_progress = [this](double) { tell(); }},
        iteration_{.tolerance = job.arguments.tolerance,
                   .rank = plan_.rank,
                   .on_iteration = [this](Index number, double residual) {
                     iterations_ = number;
                     residual_ = residual;
                   }} {}

  Prediction predict() override {
    Prediction result = solve();
    stage_ = "predicting";
    result.sets = predict_sets(job_.kernels, job_.targets, result, nullptr, plan_.working_bytes);
    status_.clear();
    return result;
  }

  void clear_progress() override { status_.clear(); }

  std::string how_far() const override {
    return fmt::format("{} iterations, of which nothing is kept", iterations_);
  }

 private:
  void tell() {
    if (job_.arguments.on_progress) job_.arguments.on_progress(part());
    const auto seconds = status_.due();
    if (!seconds) return;
    if (iterations_ == 0) return status_.show(stage_);
    status_.show(fmt::format("iteration {}  residual {:.2g} of {:.2g}  {}", iterations_, residual_,
                             iteration_.tolerance, format_seconds(*seconds)));
  }

  /// Digits of the residual, of those that were asked for.
  double part() const {
    return std::clamp(std::log(residual_) / std::log(iteration_.tolerance), 0.0, 1.0);
  }

  Prediction solve() {
    SolveContext context(options_);
    const KernelFacts facts = job_.kernels.check_and_examine(context);
    const double jitter = given_jitter(job_.arguments, facts).value();
    stage_ = "preconditioner";
    const ConjugateGradients solver(job_.kernels.kernel(), facts, jitter, iteration_, options_);
    Prediction result;
    result.num_outputs = job_.targets.targets.num_outputs;
    result.classes = job_.targets.classes;
    result.jitter = jitter;
    result.coefficients = job_.targets.targets.values;
    const IterationReport report = solver.solve(result.coefficients, result.num_outputs);
    if (!report.is_within(iteration_.tolerance)) refuse(report, jitter);
    result.by_iteration = IterationFacts{iteration_.tolerance, report.largest_residual(),
                                         report.num_iterations, report.rank};
    return result;
  }

  [[noreturn]] void refuse(const IterationReport& report, double jitter) const {
    const double reached = report.largest_residual();
    std::string text = fmt::format(
        "{}: conjugate gradients stalled after {} iterations: the largest residual is {:.2g}, {:g} "
        "was asked for",
        job_.kernels.path(), report.num_iterations, reached, iteration_.tolerance);
    if (report.curvature)
      text += fmt::format(
          "; Kxx + {:g}·I is not positive definite within rounding (a direction has "
          "the curvature {:.3g})",
          jitter, *report.curvature);
    text += "; a larger --jitter helps";
    if (reached < 0.1) text += fmt::format(", or --tolerance {:.0e}", 2 * reached);
    throw Error(ErrorKind::kOther, text);
  }

  const PredictJob job_;
  const IterationPlan plan_;
  StatusLine status_;
  std::string stage_ = "reading the kernel";
  Index iterations_ = 0;
  double residual_ = 1;
  SolverOptions options_;
  IterationOptions iteration_;
};

}  // namespace

std::unique_ptr<PredictRun> make_iteration_run(const PredictJob& job) {
  return std::make_unique<IterationRun>(job);
}

}  // namespace gramtile::apps
