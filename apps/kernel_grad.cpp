// kernel-grad: the derivatives of one kernel matrix with respect to every variance, to an HDF5
// file.
//
//   arguments → JobRequest → Job (io/job/job.hpp) → gradient [P], or the jacobian dKxx [P, N, N]
#include <CLI/CLI.hpp>
#include <string>
#include <utility>
#include <vector>

#include "apps/common/command.hpp"
#include "apps/common/execute.hpp"
#include "apps/common/options.hpp"
#include "apps/common/request.hpp"
#include "engine/core/errors.hpp"

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

JobRequest grad_request(const GradArguments& arguments, std::string command) {
  const ComputeArguments& compute = arguments.compute;
  JobRequest request = job_request(compute, std::move(command));
  request.sets = {{"train", compute.train, DatasetRole::kTrain, compute.train_labels},
                  {"test", compute.test, DatasetRole::kTest, compute.test_labels}};
  if (compute.test.empty()) {
    request.matrices = {{"Kxx", MatrixKind::kSymmetric, "train"}};
  } else {
    request.matrices = {{"Kxtx", MatrixKind::kCross, "test", "train"}};
  }
  request.with_kernel = arguments.with_kernel;
  request.derivative = arguments.jacobian ? Derivative::kJacobian : Derivative::kGradient;
  request.upstream.matrix = arguments.upstream;
  request.upstream.factors = arguments.upstream_factors;
  return request;
}

int run(int argc, char** argv) {
  CLI::App app("Differentiates a kernel matrix with respect to every variance of the network.",
               "kernel-grad");
  GradArguments arguments;
  add_grad_options(app, arguments);
  describe(app, std::string(kExamples).append(kWhichImages));
  if (!parse(app, argc, argv)) return 0;

  check_one_upstream(arguments);
  return execute(grad_request(arguments, stored_command(argc, argv)), arguments.compute,
                 command_line(argc, argv, "--resume", "--overwrite"));
}

}  // namespace
}  // namespace gramtile::apps

int main(int argc, char** argv) {
  return gramtile::apps::run_command("kernel-grad", argc, argv, gramtile::apps::run);
}
