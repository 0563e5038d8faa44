#include "apps/common/predict_inputs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "engine/core/errors.hpp"
#include "io/data/dataset.hpp"
#include "io/data/number_matrix.hpp"
#include "io/data/open_labels.hpp"
#include "io/run/spec/content_hash.hpp"

namespace gramtile::apps {
namespace {

using Labels = std::vector<std::int64_t>;

constexpr std::uint64_t kUnpackBytes = std::uint64_t{64} << 20;

void check_count(const std::string& source, std::size_t found, const ExampleSet& set) {
  if (static_cast<Index>(found) == set.num_examples) return;
  throw DataError(source, fmt::format("has {} entries; the kernel file has {} images of {}", found,
                                      set.num_examples, set.name));
}

/// Labels of images that a source names, the images themselves unread.
Labels labels_of_dataset(const SourceSpec& source, DatasetRole role) {
  const auto data = open_dataset(source, role, {.unpack_in_memory_bytes = kUnpackBytes});
  if (data->labels()) return *data->labels();
  const std::string& note = data->label_note();
  throw DataError(source.text, note.empty() ? "has no labels" : "has no labels: " + note);
}

/// An array of labels alone; ranges and lists count in it.
Labels labels_of_array(const SourceSpec& source, LabelArray& array) {
  const auto length = length_of_list(array.shape());
  const Index count =
      length ? *length : (array.shape().empty() ? 0 : static_cast<Index>(array.shape().front()));
  if (count == 0) throw DataError(array.name(), "holds no labels");
  const LabelResult all = read_labels(array, count, {0, count});
  if (!all.values) throw DataError(array.name(), "is no array of labels: " + all.note);
  if (!source.labels.empty())
    throw Error(ErrorKind::kUsage, "source '" + source.text + "': labels are not chosen by labels");
  const Selection selection = source.index_file.empty()
                                  ? Selection(resolve_ranges(source, count))
                                  : read_index_list(source.index_file, count, kUnpackBytes);
  Labels chosen;
  for (const Range run : selection.runs())
    chosen.insert(chosen.end(), all.values->begin() + run.start, all.values->begin() + run.stop);
  return chosen;
}

Labels read_label_source(const std::string& text, DatasetRole role, const ExampleSet& set,
                         std::vector<std::string>& files) {
  const SourceSpec source = parse_source_spec(text);
  files.push_back(source.path);
  Labels labels;
  if (std::filesystem::is_directory(source.path)) {
    labels = labels_of_dataset(source, role);
  } else {
    std::unique_ptr<LabelArray> array;
    try {
      array = open_label_source(source, role, kUnpackBytes);
    } catch (const DataError&) {  // images with labels between them, as CIFAR-10 has
      labels = labels_of_dataset(source, role);
    }
    if (array) labels = labels_of_array(source, *array);
  }
  check_count(text, labels.size(), set);
  return labels;
}

Targets read_numbers(const std::string& text, const ExampleSet& set,
                     std::vector<std::string>& files) {
  const SourceSpec source = parse_source_spec(text);
  files.push_back(source.path);
  if (!source.takes_everything())
    throw Error(ErrorKind::kUsage, "targets '" + text + "': FILE[:/DATASET], taken as a whole");
  const auto matrix = open_matrix(source.path, source.dataset, /*vector_is_column=*/true);
  check_count(matrix->name(), static_cast<std::size_t>(matrix->num_rows()), set);
  if (matrix->num_columns() < 1) throw DataError(matrix->name(), "has no columns");
  return {gramtile::read_targets(*matrix), matrix->num_columns()};
}

void check_options(const PredictArguments& arguments) {
  const auto refuse = [](const std::string& problem) { throw Error(ErrorKind::kUsage, problem); };
  const bool numbers = !arguments.targets.empty();
  if (numbers && !arguments.labels.empty()) refuse("--labels and --targets exclude each other");
  if (numbers && !(arguments.validation_labels + arguments.test_labels).empty())
    refuse(
        "--targets are numbers, labels of other sets say nothing of them; "
        "use --validation-targets and --test-targets");
  if (!numbers && !(arguments.validation_targets + arguments.test_targets).empty())
    refuse("--validation-targets and --test-targets need --targets");
}

/// Options of sets that the file has nothing of would be passed over in silence.
void check_sets(const PredictArguments& arguments, const KernelFile& kernels) {
  const auto check = [&](const std::string& name, const std::string& given) {
    if (given.empty()) return;
    const auto is_it = [&](const CrossKernel& c) { return kernels.set_of(c).name == name; };
    if (std::ranges::any_of(kernels.crosses(), is_it)) return;
    throw Error(ErrorKind::kUsage, fmt::format("'{}': {} has no kernel of {} images with the "
                                               "training images",
                                               given, kernels.path(), name));
  };
  check("validation", arguments.validation_labels + arguments.validation_targets);
  check("test", arguments.test_labels + arguments.test_targets);
}

void note_foreign_classes(const Labels& labels, const Labels& classes, const std::string& set,
                          const std::function<void(const std::string&)>& notice) {
  Labels foreign;
  for (const std::int64_t label : labels) {
    if (!std::ranges::binary_search(classes, label)) foreign.push_back(label);
  }
  if (foreign.empty()) return;
  const auto count = foreign.size();
  std::ranges::sort(foreign);
  foreign.erase(std::ranges::unique(foreign).begin(), foreign.end());
  notice(fmt::format(
      "{}: {} images are of {} that no training image has ({}), and count as wrong", set, count,
      foreign.size() == 1 ? "a class" : "classes",
      fmt::join(foreign.begin(),
                foreign.begin() + std::min<std::ptrdiff_t>(std::ssize(foreign), 10), ", ")));
}

PredictTargets read_classes(const PredictArguments& arguments, const KernelFile& kernels,
                            const std::function<void(const std::string&)>& notice) {
  PredictTargets result;
  const ExampleSet& training = kernels.training_set();
  Labels labels = training.labels;
  result.origin = "labels of " + arguments.kernels;
  if (!arguments.labels.empty()) {
    labels = read_label_source(arguments.labels, DatasetRole::kTrain, training, result.files);
    result.origin = arguments.labels;
  }
  if (labels.empty())
    throw Error(ErrorKind::kUsage, arguments.kernels +
                                       ": has no labels of its training images; give --labels or "
                                       "--targets");
  OneHot one_hot_targets = one_hot(labels);
  result.targets = std::move(one_hot_targets.targets);
  result.classes = std::move(one_hot_targets.classes);
  for (const CrossKernel& cross : kernels.crosses()) {
    const ExampleSet& set = kernels.set_of(cross);
    const bool test = set.name == "test";
    const std::string& given = test ? arguments.test_labels : arguments.validation_labels;
    KnownAnswers answers{set.labels, {}};
    if (!given.empty())
      answers.labels = read_label_source(
          given, test ? DatasetRole::kTest : DatasetRole::kValidation, set, result.files);
    note_foreign_classes(answers.labels, result.classes, set.name, notice);
    result.answers.push_back(std::move(answers));
  }
  return result;
}

PredictTargets read_all_numbers(const PredictArguments& arguments, const KernelFile& kernels) {
  PredictTargets result;
  result.origin = arguments.targets;
  result.targets = read_numbers(arguments.targets, kernels.training_set(), result.files);
  for (const CrossKernel& cross : kernels.crosses()) {
    const ExampleSet& set = kernels.set_of(cross);
    const std::string& given =
        set.name == "test" ? arguments.test_targets : arguments.validation_targets;
    KnownAnswers answers;
    if (!given.empty()) {
      Targets targets = read_numbers(given, set, result.files);
      if (targets.num_outputs != result.targets.num_outputs)
        throw DataError(given, fmt::format("has {} columns; the training targets have {}",
                                           targets.num_outputs, result.targets.num_outputs));
      answers.targets = std::move(targets.values);
    }
    result.answers.push_back(std::move(answers));
  }
  return result;
}

}  // namespace

std::string PredictTargets::hash() const {
  ContentHasher hasher;
  const auto add = [&](const auto& values) {
    const std::uint64_t count = values.size();
    hasher.add(std::as_bytes(std::span(&count, 1)));
    hasher.add(std::as_bytes(std::span(values)));
  };
  add(targets.values);
  add(classes);
  for (const KnownAnswers& known : answers) {
    add(known.labels);
    add(known.targets);
  }
  return hasher.digest();
}

PredictTargets read_targets(const PredictArguments& arguments, const KernelFile& kernels,
                            const std::function<void(const std::string&)>& notice) {
  check_options(arguments);
  check_sets(arguments, kernels);
  if (!arguments.targets.empty()) return read_all_numbers(arguments, kernels);
  return read_classes(arguments, kernels, notice);
}

}  // namespace gramtile::apps
