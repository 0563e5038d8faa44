#include "apps/common/inputs.hpp"

#include <fmt/format.h>

#include <utility>

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

Inputs open_inputs(Network network, const std::string& network_name,
                   std::span<const SourceArgument> sources, std::uint64_t unpack_bytes) {
  InputRecorder recorder;
  Inputs inputs;
  inputs.network = std::move(network);
  for (const SourceArgument& source : sources) {
    if (source.text.empty()) continue;
    inputs.sets.push_back({source.name, open_dataset(parse_source_spec(source.text), source.role,
                                                     {.unpack_in_memory_bytes = unpack_bytes})});
    check_same_shape(*inputs.sets.front().data, *inputs.sets.back().data);
  }
  inputs.files = recorder.take();
  inputs.program = lower_named(inputs.network, network_name, inputs.sets.front().data->shape());
  return inputs;
}

}  // namespace gramtile::apps
