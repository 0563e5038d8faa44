#include "apps/common/inputs.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <utility>

#include "apps/common/memory.hpp"
#include "apps/common/streams.hpp"
#include "apps/common/units.hpp"
#include "engine/core/errors.hpp"

namespace gramtile::apps {
namespace {

std::string text_of(const ImageShape& shape) {
  return fmt::format("{} x {} x {} (channels x height x width)", shape.channels, shape.height,
                     shape.width);
}

void check_same_shape(const Dataset& first, const Dataset& other) {
  if (other.shape() == first.shape()) return;
  throw DataError(other.description(),
                  fmt::format("images are {}, but those of {} are {}", text_of(other.shape()),
                              first.description(), text_of(first.shape())));
}

bool is_channel_count(Index extent) { return extent == 1 || extent == 3 || extent == 4; }

void warn(const InputSet& set) {
  const ImageShape shape = set.data->shape();
  if (set.data->axes_are_assumed() && is_channel_count(shape.width) &&
      !is_channel_count(shape.channels)) {
    print(stderr,
          fmt::format(
              "warning: {}: images are taken as {} channels of {} × {}; if their channels come "
              "last, say --channels-last\n",
              set.name, shape.channels, shape.height, shape.width));
  }
  if (!set.data->label_note().empty()) {
    print(stderr, fmt::format("warning: {}: labels: {}\n", set.name, set.data->label_note()));
  }
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

Index Inputs::find(std::string_view name) const {
  for (std::size_t i = 0; i < sets.size(); ++i) {
    if (sets[i].name == name) return static_cast<Index>(i);
  }
  return -1;
}

InputOptions input_options(const ComputeArguments& arguments) {
  return {.unpack_bytes = share_memory(arguments.memory_bytes).unpack_bytes,
          .channels_last = arguments.channels_last,
          .quiet = arguments.quiet};
}

Inputs open_inputs(Network network, const std::string& network_name,
                   std::span<const SourceArgument> sources, const InputOptions& options) {
  InputRecorder recorder;
  Inputs inputs;
  inputs.network = std::move(network);
  for (const SourceArgument& source : sources) {
    if (source.text.empty()) {
      if (source.labels.empty()) continue;
      throw Error(ErrorKind::kUsage,
                  fmt::format("--{0}-labels: there are no images --{0}", source.name));
    }
    const SourceSpec spec = parse_source_spec(source.text);
    inputs.sets.push_back(
        {source.name, open_dataset(spec, source.role,
                                   {.unpack_in_memory_bytes = options.unpack_bytes,
                                    .channels_last = options.channels_last,
                                    .labels = source.labels})});
    if (!options.quiet) warn(inputs.sets.back());
  }
  for (const InputSet& set : inputs.sets) check_same_shape(*inputs.sets.front().data, *set.data);
  inputs.files = recorder.take();
  inputs.program = lower_named(inputs.network, network_name, inputs.sets.front().data->shape());
  return inputs;
}

std::string describe_set(const InputSet& set) {
  const ImageShape shape = set.data->shape();
  const Index count = set.data->num_examples();
  std::string text = fmt::format("{} image{} of {} × {} × {}", format_count(count),
                                 count == 1 ? "" : "s", shape.channels, shape.height, shape.width);
  if (const auto& labels = set.data->labels(); labels && !labels->empty()) {
    const auto [least, greatest] = std::minmax_element(labels->begin(), labels->end());
    text += fmt::format(", labels {} to {}", *least, *greatest);
  } else {
    text += ", no labels";
  }
  return text;
}

void print_sets(const Inputs& inputs) {
  for (const InputSet& set : inputs.sets) {
    print(stdout, fmt::format("{}: {}\n", set.name, describe_set(set)));
  }
}

}  // namespace gramtile::apps
