// kernel-grad: the derivatives of one kernel matrix with respect to every variance, to an HDF5
// file.
//
//   sources, ∂L/∂K → job → (RunWriter ← compute_tiles) → gradient [P], or the jacobian dKxx [P, N,
//   N]
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "apps/common/command.hpp"
#include "apps/common/dry_run.hpp"
#include "apps/common/execute.hpp"
#include "apps/common/inputs.hpp"
#include "apps/common/job.hpp"
#include "apps/common/memory.hpp"
#include "apps/common/options.hpp"
#include "apps/common/output.hpp"
#include "engine/core/errors.hpp"
#include "io/network/network_json.hpp"
#include "io/run/read_run.hpp"

namespace gramtile::apps {
namespace {

constexpr std::string_view kExamples =
    "  kernel-grad --network convnet-gp --train mnist/ --upstream U.h5:/dLdK --out G.h5\n"
    "  kernel-grad --network convnet-gp --train mnist/ --upstream-factors U.h5:/U U.h5:/V --out "
    "G.h5\n"
    "  kernel-grad --network convnet-gp --train mnist/ --upstream U.npy --out G.h5\n"
    "  kernel-grad --network net.json --train X.npy --test Z.npy --jacobian --with-kernel --out "
    "J.h5\n";

struct GradArguments {
  ComputeArguments compute;
  std::string upstream;
  std::vector<std::string> upstream_factors;  ///< two, or none
  bool jacobian = false;
  bool with_kernel = false;
};

void add_grad_options(CLI::App& app, GradArguments& arguments) {
  add_compute_options(app, arguments.compute);
  app.add_option("--upstream", arguments.upstream,
                 "dL/dK, [N, N], or with --test [Nt, N]; HDF5, .npy or .npz")
      ->type_name("FILE[:/DATASET]");
  app.add_option("--upstream-factors", arguments.upstream_factors,
                 "U [rows, r] and V [columns, r] with dL/dK = U V^T")
      ->expected(2)
      ->type_name("FILE[:/U] FILE[:/V]");
  app.add_flag("--jacobian", arguments.jacobian, "write dK/dparameter for every entry instead");
  app.add_flag("--with-kernel", arguments.with_kernel, "write K too, in the same pass");
}

void check_one_upstream(const GradArguments& arguments) {
  const int given = (arguments.upstream.empty() ? 0 : 1) +
                    (arguments.upstream_factors.empty() ? 0 : 1) + (arguments.jacobian ? 1 : 0);
  if (given != 1) {
    throw Error(ErrorKind::kUsage,
                "exactly one of --upstream, --upstream-factors and --jacobian is needed; see "
                "kernel-grad --help");
  }
}

SourceSpec parse_array(const std::string& text) {
  SourceSpec spec = parse_source_spec(text);
  if (!spec.takes_everything()) {
    throw Error(ErrorKind::kUsage, fmt::format("'{}' is not FILE:/DATASET or FILE.npy", text));
  }
  return spec;
}

Job make_job(const GradArguments& arguments, std::string command) {
  const ComputeArguments& compute = arguments.compute;
  const std::vector<SourceArgument> sources{
      {"train", compute.train, DatasetRole::kTrain, compute.train_labels},
      {"test", compute.test, DatasetRole::kTest, compute.test_labels}};
  Inputs inputs =
      open_inputs(load_network(compute.network), compute.network, sources, input_options(compute));
  if (inputs.program.parameters.empty()) {
    throw NetworkError(compute.network, "has no trainable parameter to differentiate by");
  }
  JobRequest request;
  if (compute.test.empty()) {
    request.matrices = {{"Kxx", MatrixKind::kSymmetric, "train", ""}};
  } else {
    request.matrices = {{"Kxtx", MatrixKind::kCross, "test", "train"}};
  }
  request.with_kernel = arguments.with_kernel;
  request.derivative = arguments.jacobian ? Derivative::kJacobian : Derivative::kGradient;
  request.command = std::move(command);
  return plan_job(std::move(inputs), request, compute);
}

// Opens ∂L/∂K and reads it once: bad entries are found now, and the spec gets its hash.
void open_upstream(const GradArguments& arguments, Job& job) {
  InputRecorder recorder;
  if (!arguments.upstream.empty()) {
    const SourceSpec array = parse_array(arguments.upstream);
    auto upstream = std::make_unique<MatrixUpstream>(array.path, array.dataset, job.num_rows(),
                                                     job.num_columns());
    charge(job, arguments.compute, upstream->working_bytes(),
           fmt::format("the compressed chunks of {}", arguments.upstream));
    job.spec.upstream = arguments.upstream;
    job.spec.upstream_hash = upstream->check_and_hash();
    job.upstream = std::move(upstream);
  } else if (!arguments.upstream_factors.empty()) {
    const SourceSpec u = parse_array(arguments.upstream_factors[0]);
    const SourceSpec v = parse_array(arguments.upstream_factors[1]);
    auto upstream = std::make_unique<FactorUpstream>(u.path, u.dataset, v.path, v.dataset,
                                                     job.num_rows(), job.num_columns());
    charge(job, arguments.compute, upstream->working_bytes(job.spec.plan.tile_size),
           fmt::format("the rows of {} and {}; a smaller --tile needs less",
                       arguments.upstream_factors[0], arguments.upstream_factors[1]));
    job.spec.upstream = arguments.upstream_factors[0] + " " + arguments.upstream_factors[1];
    job.spec.upstream_hash = upstream->check_and_hash();
    job.upstream = std::move(upstream);
  }
  std::ranges::move(recorder.take(), std::back_inserter(job.inputs.files));
}

int run(int argc, char** argv) {
  CLI::App app("Differentiates a kernel matrix with respect to every variance of the network.",
               "kernel-grad");
  GradArguments arguments;
  add_grad_options(app, arguments);
  describe(app, std::string(kExamples).append(kWhichImages));
  if (!parse(app, argc, argv)) return 0;

  check_one_upstream(arguments);
  settle_output(arguments.compute);
  Job job = make_job(arguments, stored_command(argc, argv));
  open_upstream(arguments, job);
  refuse_inputs_as_outputs(arguments.compute.out, job.inputs.files);
  refuse_inputs_as_outputs(arguments.compute.out, std::vector{arguments.compute.network});
  check_memory(job, arguments.compute);
  if (arguments.compute.dry_run) {
    print_plan(job, arguments.compute);
    return 0;
  }
  if (!arguments.compute.quiet) print_sets(job.inputs);
  read_inputs(job);
  return execute(job, arguments.compute, command_line(argc, argv, "--resume", "--overwrite"));
}

}  // namespace
}  // namespace gramtile::apps

int main(int argc, char** argv) {
  return gramtile::apps::run_command("kernel-grad", argc, argv, gramtile::apps::run);
}
