// kernel-build: the Gram matrices of a network over data sets, to an HDF5 file.
//
//   arguments → JobRequest → Job (io/job/job.hpp) → Kxx, Kxvx, Kxtx, Kv_diag, Kt_diag
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
    "  kernel-build --network convnet-gp --train mnist/ --test mnist/ --out K.h5\n"
    "  kernel-build --network net.json --train data.h5:/X#0:50000 --test data.h5:/X#50000:60000\n"
    "               --out K.h5 --dtype float64 --memory 8GiB\n"
    "  kernel-build --network convnet-gp --train images.npy --out K.h5 --dry-run\n"
    "  kernel-build --network convnet-gp --train images.npy --out K0.h5 --shard 0/4\n"
    "  kernel-build --network convnet-gp --train images.npy --test new.npy --only test --out "
    "Kt.h5\n"
    "  kernel-build --network net.json --train x.npy --train-labels y.npy --channels-last\n"
    "               --out K.h5\n";

struct BuildArguments {
  ComputeArguments compute;
  std::string validation, validation_labels;
  std::string only;  ///< "train", "validation", "test": the matrices of this set alone; empty: all
  DatasetLayout layout = DatasetLayout::kPlain;
};

void add_build_options(CLI::App& app, BuildArguments& arguments) {
  add_compute_options(app, arguments.compute);
  app.add_option("--validation", arguments.validation,
                 "validation images (of the training half, if there are two)")
      ->type_name("SOURCE");
  app.add_option("--validation-labels", arguments.validation_labels,
                 "labels of the validation images")
      ->type_name("SOURCE");
  app.add_option("--only", arguments.only,
                 "train, validation or test: write this set's matrices alone")
      ->check(CLI::IsMember({"train", "validation", "test"}))
      ->option_text("SET");
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

// The matrices whose rows are of the set `only`; all of them when it is empty.
std::vector<JobMatrix> matrices_of(const std::string& only) {
  std::vector<JobMatrix> matrices{{"Kxx", MatrixKind::kSymmetric, "train", ""},
                                  {"Kxvx", MatrixKind::kCross, "validation", "train"},
                                  {"Kxtx", MatrixKind::kCross, "test", "train"},
                                  {"Kv_diag", MatrixKind::kDiagonal, "validation", ""},
                                  {"Kt_diag", MatrixKind::kDiagonal, "test", ""}};
  if (only.empty()) return matrices;
  std::erase_if(matrices, [&](const JobMatrix& matrix) { return matrix.rows != only; });
  return matrices;
}

void check_only(const BuildArguments& arguments) {
  const bool test = arguments.only == "test" && arguments.compute.test.empty();
  const bool validation = arguments.only == "validation" && arguments.validation.empty();
  if (!test && !validation) return;
  throw Error(ErrorKind::kUsage,
              "--only " + arguments.only + ": there are no images --" + arguments.only);
}

JobRequest build_request(const BuildArguments& arguments, std::string command) {
  const ComputeArguments& compute = arguments.compute;
  JobRequest request = job_request(compute, std::move(command));
  request.sets = {
      {"train", compute.train, DatasetRole::kTrain, compute.train_labels},
      {"validation", arguments.validation, DatasetRole::kValidation, arguments.validation_labels},
      {"test", compute.test, DatasetRole::kTest, compute.test_labels}};
  request.matrices = matrices_of(arguments.only);
  request.layout = arguments.layout;
  return request;
}

int run(int argc, char** argv) {
  CLI::App app("Computes the kernel (Gram) matrices of an infinitely wide convolutional network.",
               "kernel-build");
  BuildArguments arguments;
  add_build_options(app, arguments);
  describe(app, std::string(kExamples).append(kWhichImages));
  if (!parse(app, argc, argv)) return 0;

  check_only(arguments);
  return execute(build_request(arguments, stored_command(argc, argv)), arguments.compute,
                 command_line(argc, argv, "--resume", "--overwrite"));
}

}  // namespace
}  // namespace gramtile::apps

int main(int argc, char** argv) {
  return gramtile::apps::run_command("kernel-build", argc, argv, gramtile::apps::run);
}
