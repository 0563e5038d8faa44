#include "io/job/inputs.hpp"

#include <fmt/format.h>

#include <utility>

#include "engine/core/errors.hpp"

namespace gramtile {
namespace {

std::string text_of(const ImageShape& shape) {
  return fmt::format("{} x {} x {} (channels x height x width)", shape.channels, shape.height,
                     shape.width);
}

void check_same_shape(const InputSet& first, const InputSet& other) {
  if (other.images().shape() == first.images().shape()) return;
  throw DataError(other.description, fmt::format("images are {}, but those of {} are {}",
                                                 text_of(other.images().shape()), first.description,
                                                 text_of(first.images().shape())));
}

bool is_channel_count(Index extent) { return extent == 1 || extent == 3 || extent == 4; }

void tell(const InputSet& set, const std::function<void(const std::string&)>& notice) {
  const ImageShape shape = set.data->shape();
  if (set.data->axes_are_assumed() && is_channel_count(shape.width) &&
      !is_channel_count(shape.channels)) {
    notice(
        fmt::format("warning: {}: images are taken as {} channels of {} × {}; if their channels "
                    "come last, say --channels-last",
                    set.name, shape.channels, shape.height, shape.width));
  }
  if (!set.data->label_note().empty()) {
    notice(fmt::format("warning: {}: labels: {}", set.name, set.data->label_note()));
  }
}

InputSet open_source(const JobSet& wanted, const InputOptions& options) {
  InputSet set;
  set.name = wanted.name;
  set.data = open_dataset(parse_source_spec(wanted.source), wanted.role,
                          {.unpack_in_memory_bytes = options.unpack_bytes,
                           .channels_last = options.channels_last,
                           .labels = wanted.label_source});
  set.description = set.data->description();
  if (options.notice) tell(set, options.notice);
  return set;
}

InputSet take_images(const JobSet& wanted) {
  InputSet set;
  set.name = wanted.name;
  set.description = wanted.source.empty() ? wanted.name : wanted.source;
  set.callers_images = wanted.images;
  set.callers_labels = wanted.labels;
  const auto num_labels = static_cast<Index>(wanted.labels.size());
  if (num_labels != 0 && num_labels != wanted.images->num_examples()) {
    throw Error(ErrorKind::kUsage, fmt::format("{}: {} labels for {} images", set.description,
                                               num_labels, wanted.images->num_examples()));
  }
  return set;
}

// The engine knows the place in the network but not the file it came from.
Program lower_named(const Network& network, const std::string& name, const ImageShape& shape) {
  try {
    return lower(network, shape);
  } catch (const NetworkError& error) {
    throw NetworkError(name, error.what());
  }
}

}  // namespace

const std::vector<std::int64_t>& InputSet::labels() const {
  if (data == nullptr || !data->labels()) return callers_labels;
  return *data->labels();
}

Index Inputs::find(std::string_view name) const {
  for (std::size_t i = 0; i < sets.size(); ++i) {
    if (sets[i].name == name) return static_cast<Index>(i);
  }
  return -1;
}

Inputs open_inputs(Network network, const std::string& network_name, std::span<const JobSet> sets,
                   const InputOptions& options) {
  InputRecorder recorder;
  Inputs inputs;
  inputs.network = std::move(network);
  for (const JobSet& wanted : sets) {
    if (wanted.images != nullptr) {
      inputs.sets.push_back(take_images(wanted));
    } else if (!wanted.source.empty()) {
      inputs.sets.push_back(open_source(wanted, options));
    } else if (!wanted.label_source.empty()) {
      throw Error(ErrorKind::kUsage,
                  fmt::format("--{0}-labels: there are no images --{0}", wanted.name));
    }
  }
  if (inputs.sets.empty()) throw Error(ErrorKind::kUsage, "there are no images");
  for (const InputSet& set : inputs.sets) check_same_shape(inputs.sets.front(), set);
  inputs.files = recorder.take();
  inputs.program = lower_named(inputs.network, network_name, inputs.sets.front().images().shape());
  return inputs;
}

}  // namespace gramtile
