// kernel-verify: is a file that kernel-build, kernel-grad or kernel-merge wrote whole, unchanged,
// and a kernel matrix? With the data at hand, are its entries right?
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <string>
#include <vector>

#include "apps/common/command.hpp"
#include "apps/common/exit_codes.hpp"
#include "apps/common/options.hpp"
#include "apps/common/progress.hpp"
#include "apps/common/request.hpp"
#include "apps/common/streams.hpp"
#include "apps/common/verify.hpp"
#include "engine/core/errors.hpp"
#include "io/network/network_json.hpp"
#include "io/run/read/run_reader.hpp"
#include "io/run/spec/content_hash.hpp"

namespace gramtile::apps {
namespace {

constexpr std::string_view kExamples =
    "  kernel-verify K.h5\n"
    "  kernel-verify K.h5 --train mnist/ --test mnist/ --samples 100\n";

struct VerifyArguments {
  std::string file;
  std::string train, validation, test;
  bool channels_last = false;
  Index num_samples = 20;
  bool quiet = false;
};

void add_verify_options(CLI::App& app, VerifyArguments& arguments) {
  app.add_option("file", arguments.file, "the file to check")->required()->option_text(" ");
  app.add_option("--train", arguments.train, "training images, to recompute entries")
      ->type_name("SOURCE");
  app.add_option("--validation", arguments.validation, "validation images")->type_name("SOURCE");
  app.add_option("--test", arguments.test, "test images")->type_name("SOURCE");
  add_channels_last(app, arguments.channels_last);
  app.add_option("--samples", arguments.num_samples, "entries to recompute (default 20)")
      ->check(CLI::Range(Index{1}, Index{1'000'000}))
      ->option_text("N");
  app.add_flag("--quiet", arguments.quiet, "print nothing but errors");
}

// The data that was given has to be the data of the file.
Inputs open_file_inputs(const VerifyArguments& arguments, const RunSpec& spec) {
  const std::vector<JobSet> sets{{"train", arguments.train, DatasetRole::kTrain},
                                 {"validation", arguments.validation, DatasetRole::kValidation},
                                 {"test", arguments.test, DatasetRole::kTest}};
  Inputs inputs = open_inputs(read_network(spec.network, arguments.file), arguments.file, sets,
                              {.unpack_bytes = std::uint64_t{64} << 20,
                               .channels_last = arguments.channels_last,
                               .notice = notice(arguments.quiet)});
  for (const InputSet& given : inputs.sets) {
    const auto stored = std::find_if(spec.sets.begin(), spec.sets.end(),
                                     [&](const ExampleSet& set) { return set.name == given.name; });
    if (stored == spec.sets.end()) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("{} was made without --{}", arguments.file, given.name));
    }
    if (read_contents(*given.data).hash != stored->hash) {
      throw DataError(given.data->description(),
                      fmt::format("these are not the images of {} (there: {})", arguments.file,
                                  stored->source));
    }
  }
  return inputs;
}

std::vector<Finding> check(const VerifyArguments& arguments, const RunReader& reader) {
  const TilePlan& plan = reader.spec().plan;
  Index pairs = 0;
  for (const Index t : reader.tiles())
    pairs += plan.num_pairs(plan.tiles[static_cast<std::size_t>(t)]);
  Progress progress(progress_style(arguments.quiet), pairs);
  std::vector<Finding> findings =
      check_file(reader, [&](const Tile& tile) { progress.advance(plan.num_pairs(tile)); });
  progress.clear();
  if (!(arguments.train + arguments.validation + arguments.test).empty()) {
    const Inputs inputs = open_file_inputs(arguments, reader.spec());
    for (Finding& finding : check_samples(reader, inputs, arguments.num_samples)) {
      findings.push_back(std::move(finding));
    }
  }
  return findings;
}

// The first failure ends the command: its line goes to stderr, damage before wrong numbers.
int report(const VerifyArguments& arguments, const std::vector<Finding>& findings) {
  const auto failed = [](const Finding& finding) { return !finding.passed; };
  const auto damaged = [](const Finding& finding) { return !finding.passed && finding.damaged; };
  if (!arguments.quiet) {
    for (const Finding& finding : findings) {
      print(stdout, fmt::format("{:<9} {}{}{}\n", finding.check, finding.passed ? "ok" : "FAILED",
                                finding.detail.empty() ? "" : ": ", for_terminal(finding.detail)));
    }
  }
  auto worst = std::find_if(findings.begin(), findings.end(), damaged);
  if (worst == findings.end()) worst = std::find_if(findings.begin(), findings.end(), failed);
  if (worst == findings.end()) return kExitDone;
  throw Error(worst->damaged ? ErrorKind::kPartMissing : ErrorKind::kOther,
              fmt::format("{}: {}: {}", arguments.file, worst->check, worst->detail));
}

int run(int argc, char** argv) {
  CLI::App app(
      "Checks a kernel file: complete, unchanged, symmetric, finite, |K_ij| <= sqrt(K_ii K_jj);\n"
      "with the images, recomputes a sample of entries.",
      "kernel-verify");
  VerifyArguments arguments;
  add_verify_options(app, arguments);
  describe(app, kExamples);
  if (!parse(app, argc, argv)) return kExitDone;
  const RunReader reader(arguments.file);
  return report(arguments, check(arguments, reader));
}

}  // namespace
}  // namespace gramtile::apps

int main(int argc, char** argv) {
  return gramtile::apps::run_command("kernel-verify", argc, argv, gramtile::apps::run);
}
