#include "io/train/train_inputs.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "engine/core/errors.hpp"
#include "io/data/number_matrix.hpp"
#include "io/files/input_files.hpp"
#include "io/job/memory_budget.hpp"

namespace gramtile {
namespace {

Targets read_numbers(const std::string& text, Index num_images, std::vector<InputFile>& files) {
  const SourceSpec source = parse_source_spec(text);
  if (!source.takes_everything())
    throw Error(ErrorKind::kUsage, "targets '" + text + "': FILE[:/DATASET], taken as a whole");
  InputRecorder recorder;
  const auto matrix = open_matrix(source.path, source.dataset, /*vector_is_column=*/true);
  std::ranges::move(recorder.take(), std::back_inserter(files));
  if (matrix->num_rows() != num_images || matrix->num_columns() < 1)
    throw DataError(matrix->name(),
                    fmt::format("is {}×{}; one row for each of the {} images is needed",
                                matrix->num_rows(), matrix->num_columns(), num_images));
  return {read_targets(*matrix), matrix->num_columns()};
}

void check_request(const TrainRequest& request) {
  const auto refuse = [](const std::string& problem) { throw Error(ErrorKind::kUsage, problem); };
  const bool validates = !request.validation.source.empty() || request.validation.images != nullptr;
  if (!validates && !request.validation_targets.empty())
    refuse("--validation-targets: there are no images --validation");
  if (request.targets.empty() && !request.validation_targets.empty())
    refuse("--validation-targets need --targets");
  if (!request.targets.empty() && validates && request.validation_targets.empty())
    refuse("--validation with --targets needs --validation-targets");
  if (!request.targets.empty() && !request.train.label_source.empty())
    refuse("--train-labels and --targets exclude each other");
}

void take_labels(TrainInputs& result, const std::function<void(const std::string&)>& notice) {
  const std::vector<std::int64_t>& labels = result.inputs.sets.front().labels();
  if (labels.empty())
    throw Error(ErrorKind::kUsage, result.inputs.sets.front().description +
                                       ": has no labels; give --train-labels or --targets");
  OneHot one_hot_targets = one_hot(labels);
  result.targets = std::move(one_hot_targets.targets);
  result.classes = std::move(one_hot_targets.classes);
  result.origin = "labels";
  if (result.classes.size() == 1 && notice)
    notice("all training images bear one label: there is little to learn");
  const InputSet* const validation = result.validation();
  if (validation != nullptr && validation->labels().empty())
    throw Error(ErrorKind::kUsage,
                validation->description + ": has no labels; give --validation-labels");
}

}  // namespace

TrainInputs open_train_inputs(const TrainRequest& request) {
  check_request(request);
  TrainInputs result;
  const JobSet sets[] = {request.train, request.validation};
  result.inputs = open_inputs(request.network, request.network_name, sets,
                              {.unpack_bytes = share_memory(request.memory_bytes).unpack_bytes,
                               .channels_last = request.channels_last,
                               .notice = request.notice});
  if (result.inputs.find("train") != 0)
    throw Error(ErrorKind::kUsage, "there are no images --train");
  if (request.targets.empty()) {
    take_labels(result, request.notice);
    return result;
  }
  result.origin = request.targets;
  result.targets =
      read_numbers(request.targets, result.images().num_examples(), result.inputs.files);
  if (const InputSet* const validation = result.validation()) {
    result.validation_targets = read_numbers(
        request.validation_targets, validation->images().num_examples(), result.inputs.files);
    if (result.validation_targets.num_outputs != result.targets.num_outputs)
      throw DataError(
          request.validation_targets,
          fmt::format("has {} columns; the training targets have {}",
                      result.validation_targets.num_outputs, result.targets.num_outputs));
  }
  return result;
}

}  // namespace gramtile
