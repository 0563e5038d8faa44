// kernel-train: learns the variances of a network.
//
//   arguments → TrainRequest → TrainJob (io/train/train_job.hpp) → T.h5, a network file
#include <fmt/format.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <cmath>
#include <string>
#include <vector>

#include "apps/common/command.hpp"
#include "apps/common/options.hpp"
#include "apps/common/request.hpp"
#include "apps/common/streams.hpp"
#include "apps/common/train.hpp"
#include "engine/core/errors.hpp"

namespace gramtile::apps {
namespace {

constexpr std::string_view kExamples =
    "  kernel-train --network convnet-gp --train mnist/#0:2000 --objective loo --steps 20 --out "
    "T.h5\n"
    "  kernel-train --network net.json --train x.npy --train-labels y.npy --objective kernel-flow\n"
    "               --batch 600 --sub-batch 300 --steps 200 --validation v.npy\n"
    "               --validation-labels w.npy --network-out trained.json --out T.h5\n"
    "  kernel-train --network net.json --train x.npy --targets y.npy --objective nlml --out T.h5\n"
    "               --memory 512MiB --work /scratch --dry-run\n";

std::string objective_names() {
  std::string names;
  for (const Objective* objective : objectives())
    names += (names.empty() ? "" : "|") + std::string(objective->name());
  return names;
}

std::string objective_help() {
  std::string text = "what is made small:";
  for (const Objective* objective : objectives())
    text += fmt::format("\n{}: {}", objective->name(), objective->summary());
  return text;
}

void add_data_options(CLI::App& app, TrainArguments& arguments) {
  const std::string file = "FILE[:/DATASET]";
  app.add_option("--network", arguments.compute.network, "a network file (JSON) or a preset's name")
      ->required()
      ->option_text("NET (required)");
  app.add_option("--train", arguments.compute.train,
                 "training images: PATH[:/DATASET][#WHICH], WHICH as below")
      ->required()
      ->option_text("SOURCE (required)");
  app.add_option("--train-labels", arguments.compute.train_labels,
                 "labels of the training images in another file")
      ->type_name("SOURCE");
  app.add_option("--targets", arguments.targets,
                 "real numbers [N] or [N, C] in place of labels; HDF5, .npy or .npz")
      ->type_name(file);
  app.add_option("--validation", arguments.validation,
                 "images that are predicted every now and then, and at the end")
      ->type_name("SOURCE");
  app.add_option("--validation-labels", arguments.validation_labels, "their labels")
      ->type_name("SOURCE");
  app.add_option("--validation-targets", arguments.validation_targets,
                 "with --targets: what they should give")
      ->type_name(file);
  add_channels_last(app, arguments.compute.channels_last);
}

// What CLI::PositiveNumber says names the largest double, in 309 digits.
CLI::Validator positive_number() {
  return CLI::Validator(
      [](const std::string& text) -> std::string {
        double value = 0;
        const char* const end = text.data() + text.size();
        const auto read = std::from_chars(text.data(), end, value);
        if (read.ec == std::errc() && read.ptr == end && value > 0 && std::isfinite(value))
          return {};
        return fmt::format("'{}' is no number above 0", text);
      },
      "");
}

void add_training_options(CLI::App& app, TrainArguments& arguments) {
  app.add_option("--objective", arguments.objective, objective_help())
      ->required()
      ->option_text(objective_names() + " (required)");
  app.add_option("--optimizer", arguments.optimizer,
                 "adam, or lbfgs (default: adam with random batches, else lbfgs)")
      ->type_name("NAME");
  app.add_option("--steps", arguments.options.num_steps, "at most so many (default 50)")
      ->check(CLI::Range(Index{1}, Index{1'000'000}))
      ->option_text("N");
  app.add_option("--batch", arguments.options.batch,
                 "each step looks at a fresh random batch of n images (default: all)")
      ->check(CLI::Range(Index{1}, Index{10'000'000}))
      ->option_text("n");
  app.add_option("--sub-batch", arguments.options.sub_batch,
                 "kernel-flow: images of a batch that are kept")
      ->check(CLI::Range(Index{1}, Index{10'000'000}))
      ->option_text("n");
  app.add_option("--learning-rate", arguments.options.steps.learning_rate, "of adam (default 0.05)")
      ->check(positive_number())
      ->option_text("X");
  app.add_option("--max-step", arguments.options.steps.max_step,
                 "no step changes a logarithm by more (default 0.5)")
      ->check(positive_number())
      ->option_text("X");
  app.add_option("--noise", arguments.options.noise,
                 "λ: λ times the mean diagonal is added to K's (default 1e-3)")
      ->check(positive_number())
      ->option_text("R");
  app.add_flag("--fix-noise", arguments.options.noise_is_fixed, "λ is not trained");
  app.add_option("--seed", arguments.options.seed, "of random batches (default 0)")
      ->option_text("S");
  app.add_option("--validate-every", arguments.options.validate_every,
                 "steps between validations (default: at the end alone)")
      ->check(CLI::Range(Index{1}, Index{1'000'000}))
      ->option_text("k");
  app.add_option("--network-out", arguments.network_out,
                 "a network file with the trained values, for kernel-build")
      ->type_name("FILE");
  app.add_option("--work", arguments.work,
                 "folder for matrices that memory does not hold (default: --out's)")
      ->type_name("DIR");
  add_data_type(app, arguments.compute);
}

// The passes and the solver take turns with large buffers of other sizes. By default glibc keeps
// what one of them gave back, up to 32 MiB a piece, in a heap that the next finds in pieces too
// small: 2,000 images took 178 MiB in place of 96.
void give_memory_back() { mallopt(M_MMAP_THRESHOLD, 1 << 20); }

int run(int argc, char** argv) {
  give_memory_back();
  CLI::App app(
      "Learns the variances of a network: makes an objective of its kernel small, by gradients.",
      "kernel-train");
  TrainArguments arguments;
  describe(app, std::string(kExamples).append(kWhichImages));
  add_data_options(app, arguments);
  add_training_options(app, arguments);
  add_output_options(app, arguments.compute);
  add_machine_options(app, arguments.compute);
  app.add_flag("--dry-run", arguments.compute.dry_run, "print the plan, write nothing");
  if (!parse(app, argc, argv)) return 0;
  if (arguments.compute.mixed_instruction_sets)
    throw Error(
        ErrorKind::kUsage,
        "--mixed-instruction-sets: a training is continued with the one that it began with");
  return train(train_request(arguments, stored_command(argc, argv)), arguments,
               command_line(argc, argv, "--resume", "--overwrite"));
}

}  // namespace
}  // namespace gramtile::apps

int main(int argc, char** argv) {
  return gramtile::apps::run_command("kernel-train", argc, argv, gramtile::apps::run);
}
