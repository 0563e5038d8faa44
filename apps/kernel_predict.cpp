// kernel-predict: regression, classification and evidence from a kernel file.
//
//   kernel file, labels → KernelFile, PredictTargets → plan → factor (memory or OUT.work) → solves
//   → P.h5
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cmath>
#include <string>
#include <vector>

#include "apps/common/command.hpp"
#include "apps/common/iteration_plan.hpp"
#include "apps/common/predict.hpp"
#include "apps/common/request.hpp"
#include "apps/common/streams.hpp"
#include "engine/core/errors.hpp"
#include "engine/core/version.hpp"

namespace gramtile::apps {
namespace {

constexpr std::string_view kExamples =
    "  kernel-predict --kernels K.h5 --out P.h5\n"
    "  kernel-predict --kernels K.h5 --labels mnist/#0:8000 --jitter auto --out P.h5\n"
    "  kernel-predict --kernels K.h5 --targets y.npy --test-targets yt.npy --jitter 1e-3\n"
    "               --out P.h5\n"
    "  kernel-predict --kernels K.h5 --solver cg --jitter-relative 1e-3 --out P.h5\n"
    "  kernel-predict --kernels K.h5 --out P.h5 --memory 4GiB --work /scratch --dry-run\n";

void add_answer_options(CLI::App& app, PredictArguments& arguments) {
  const std::string file = "FILE[:/DATASET]";
  app.add_option("--labels", arguments.labels,
                 "labels of the training images (default: the kernel file's)")
      ->type_name("SOURCE");
  app.add_option("--targets", arguments.targets,
                 "real numbers [N] or [N, C] in place of labels; HDF5, .npy or .npz")
      ->type_name(file);
  app.add_option("--validation-labels", arguments.validation_labels,
                 "labels of the validation images, for their accuracy")
      ->type_name("SOURCE");
  app.add_option("--test-labels", arguments.test_labels, "labels of the test images")
      ->type_name("SOURCE");
  app.add_option("--validation-targets", arguments.validation_targets,
                 "with --targets: what the validation images should give")
      ->type_name(file);
  app.add_option("--test-targets", arguments.test_targets, "the same of the test images")
      ->type_name(file);
}

void add_solver_options(CLI::App& app, PredictArguments& arguments) {
  auto* const jitter =
      app.add_option("--jitter", arguments.jitter,
                     "added to the diagonal (default 0); auto: the least that works")
          ->type_name("J|auto");
  app.add_option("--jitter-relative", arguments.jitter_relative, "the same, of the mean diagonal")
      ->excludes(jitter)
      ->option_text("R");
  app.add_option("--solver", arguments.solver,
                 "cholesky (and auto), or cg: conjugate gradients, for N\nwhere N³ is too much; "
                 "coefficients and means alone")
      ->type_name("SOLVER");
  app.add_option("--tolerance", arguments.tolerance,
                 "with --solver cg: of every output's residual (default 1e-8)")
      ->option_text("R");
  app.add_option("--work", arguments.work,
                 "folder of OUT.work, where memory does not do (default: --out's)")
      ->type_name("DIR");
}

void add_predict_options(CLI::App& app, PredictArguments& arguments) {
  app.add_option("--kernels", arguments.kernels, "a finished file of kernel-build")
      ->required()
      ->option_text("FILE (required)");
  add_answer_options(app, arguments);
  add_solver_options(app, arguments);
  add_output_options(app, arguments.compute);
  add_machine_options(app, arguments.compute);
  app.add_flag("--dry-run", arguments.compute.dry_run, "print the plan, write nothing");
  app.set_version_flag(
      "--version",
      [] { return fmt::format("kernel-predict {}\n{}", kVersion, blas::library_name()); },
      "Print the version, and that of OpenBLAS");
}

void refuse_jitter(const std::string& text) {
  throw Error(ErrorKind::kUsage,
              "--jitter: '" + text + "' is neither a number of 0 or more nor auto");
}

void check_iteration_options(const CLI::App& app, const PredictArguments& arguments) {
  const auto refuse = [](const std::string& problem) { throw Error(ErrorKind::kUsage, problem); };
  const bool given = app.get_option("--tolerance")->count() > 0;
  if (given && !arguments.iterates()) refuse("--tolerance needs --solver cg");
  if (!(arguments.tolerance > 0 && arguments.tolerance < 1))
    refuse("--tolerance: a number between 0 and 1 is needed");
  if (!arguments.iterates()) return;
  if (arguments.jitter == "auto")
    refuse(
        "--jitter auto is the least jitter with which there is a factor, and --solver cg makes "
        "none; give a number, or --jitter-relative");
  if (!arguments.work.empty()) refuse("--work: --solver cg keeps nothing on disk");
}

void check_solver_options(const CLI::App& app, const PredictArguments& arguments) {
  if (arguments.solver != "auto" && arguments.solver != "cholesky" && !arguments.iterates())
    throw Error(ErrorKind::kUsage,
                "--solver: '" + arguments.solver + "' is neither auto nor cholesky nor cg");
  check_iteration_options(app, arguments);
  if (arguments.jitter_relative &&
      !(*arguments.jitter_relative >= 0 && std::isfinite(*arguments.jitter_relative)))
    throw Error(ErrorKind::kUsage, "--jitter-relative: a number of 0 or more is needed");
  if (arguments.jitter.empty() || arguments.jitter == "auto") return;
  std::size_t used = 0;
  double value = -1;
  try {
    value = std::stod(arguments.jitter, &used);
  } catch (const std::exception&) {
    refuse_jitter(arguments.jitter);
  }
  if (used != arguments.jitter.size() || !(value >= 0) || !std::isfinite(value))
    refuse_jitter(arguments.jitter);
}

/// Throws Error(kUsage) where memory does not do.
std::string describe_run(const PredictArguments& arguments, const SolveSize& size) {
  const std::size_t memory_bytes = arguments.compute.memory_bytes;
  if (arguments.iterates())
    return describe_iteration(plan_iteration(size, memory_bytes), size, memory_bytes,
                              arguments.tolerance);
  return describe_plan(plan_solve(size, memory_bytes, false), size, memory_bytes);
}

int run(int argc, char** argv) {
  CLI::App app(
      "Gaussian process regression and classification with the kernels of a file: predictions,\n"
      "variances, leave-one-out, log marginal likelihood.",
      "kernel-predict");
  PredictArguments arguments;
  describe(app, kExamples);
  add_predict_options(app, arguments);
  if (!parse(app, argc, argv)) return 0;

  check_solver_options(app, arguments);
  settle_output(arguments.compute);
  const KernelFile kernels(arguments.kernels);
  const PredictTargets targets = read_targets(arguments, kernels, notice(arguments.compute.quiet));
  check_predict_outputs(arguments, targets.files);
  const SolveSize size = solve_size(arguments, kernels, targets);
  const std::string plan = describe_run(arguments, size);
  if (arguments.compute.dry_run) {
    print(stdout, plan);
    return 0;
  }
  return predict(arguments, kernels, targets, stored_command(argc, argv),
                 command_line(argc, argv, "--resume", "--overwrite"));
}

}  // namespace
}  // namespace gramtile::apps

int main(int argc, char** argv) {
  return gramtile::apps::run_command("kernel-predict", argc, argv, gramtile::apps::run);
}
