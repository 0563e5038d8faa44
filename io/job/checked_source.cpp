#include "io/job/checked_source.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/run/spec/content_hash.hpp"

namespace gramtile {

CheckedSource::CheckedSource(BlockSource& data, std::string description)
    : data_(data),
      description_(std::move(description)),
      hashes_(static_cast<std::size_t>(data.num_examples())) {}

void CheckedSource::read(Range examples, std::span<double> pixels) {
  data_.read(examples, pixels);
  const auto num_values = static_cast<std::size_t>(shape().num_values());
  for (Index i = examples.start; i < examples.stop; ++i) {
    const auto image =
        pixels.subspan(static_cast<std::size_t>(i - examples.start) * num_values, num_values);
    const std::uint64_t hash = std::max<std::uint64_t>(hash64(std::as_bytes(image)), 1);
    std::uint64_t& first = hashes_[static_cast<std::size_t>(i)];
    if (first == 0) first = hash;
    if (first != hash)
      throw DataError(description_,
                      fmt::format("image {} is no longer what it was when this run began; what was "
                                  "finished before is kept: continue with --resume when the file "
                                  "is again what it was, or start over with --overwrite",
                                  i));
  }
}

}  // namespace gramtile
