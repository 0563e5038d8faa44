// kernel-build: the Gram matrices of a network over data sets, to an HDF5 file.
//
//   sources → inputs → job → (RunWriter ← compute_tiles) → Kxx, Kxvx, Kxtx, Kv_diag, Kt_diag
#include <CLI/CLI.hpp>
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

namespace gramtile::apps {
namespace {

constexpr std::string_view kExamples =
    "  kernel-build --network convnet-gp --train mnist/ --test mnist/ --out K.h5\n"
    "  kernel-build --network net.json --train data.h5:/X#0:50000 --test data.h5:/X#50000:60000\n"
    "               --out K.h5 --dtype float64 --memory 8GiB\n"
    "  kernel-build --network convnet-gp --train images.npy --out K.h5 --dry-run\n"
    "  kernel-build --network convnet-gp --train images.npy --out K0.h5 --shard 0/4\n";

struct BuildArguments {
  ComputeArguments compute;
  std::string validation;
  DatasetLayout layout = DatasetLayout::kPlain;
};

void add_build_options(CLI::App& app, BuildArguments& arguments) {
  add_compute_options(app, arguments.compute);
  app.add_option("--validation", arguments.validation,
                 "validation images (of the training half, if there are two)")
      ->type_name("SOURCE");
  app.add_option_function<std::string>(
         "--layout",
         [&](const std::string& text) {
           if (text != "plain" && text != "cnn-gp") {
             throw Error(ErrorKind::kUsage, "--layout: '" + text + "' is neither plain nor cnn-gp");
           }
           arguments.layout = text == "plain" ? DatasetLayout::kPlain : DatasetLayout::kCnnGp;
         },
         "plain (default): Kxx [N, N]; cnn-gp: Kxx [1, N, N]")
      ->type_name("LAYOUT");
}

std::vector<MatrixRequest> all_matrices() {
  return {{"Kxx", MatrixKind::kSymmetric, "train", ""},
          {"Kxvx", MatrixKind::kCross, "validation", "train"},
          {"Kxtx", MatrixKind::kCross, "test", "train"},
          {"Kv_diag", MatrixKind::kDiagonal, "validation", ""},
          {"Kt_diag", MatrixKind::kDiagonal, "test", ""}};
}

Job make_job(const BuildArguments& arguments, std::string command) {
  const ComputeArguments& compute = arguments.compute;
  const std::vector<SourceArgument> sources{
      {"train", compute.train, DatasetRole::kTrain},
      {"validation", arguments.validation, DatasetRole::kTrain},
      {"test", compute.test, DatasetRole::kTest}};
  Inputs inputs = open_inputs(load_network(compute.network), compute.network, sources,
                              share_memory(compute.memory_bytes).unpack_bytes);
  JobRequest request;
  request.matrices = all_matrices();
  request.layout = arguments.layout;
  request.command = std::move(command);
  return plan_job(std::move(inputs), request, compute);
}

int run(int argc, char** argv) {
  CLI::App app("Computes the kernel (Gram) matrices of an infinitely wide convolutional network.",
               "kernel-build");
  BuildArguments arguments;
  add_build_options(app, arguments);
  describe(app, kExamples);
  if (!parse(app, argc, argv)) return 0;

  settle_output(arguments.compute);
  Job job = make_job(arguments, stored_command(argc, argv));
  refuse_inputs_as_outputs(arguments.compute.out, job.inputs.files);
  refuse_inputs_as_outputs(arguments.compute.out, std::vector{arguments.compute.network});
  check_memory(job, arguments.compute);
  if (arguments.compute.dry_run) {
    print_plan(job, arguments.compute);
    return 0;
  }
  read_inputs(job);
  return execute(job, arguments.compute, command_line(argc, argv, "--resume", "--overwrite"));
}

}  // namespace
}  // namespace gramtile::apps

int main(int argc, char** argv) {
  return gramtile::apps::run_command("kernel-build", argc, argv, gramtile::apps::run);
}
