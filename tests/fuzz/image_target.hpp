// What the targets for image readers share: hostile bytes either come out as readable images or are
// refused with a DataError of one line. Everything else (another exception, a sanitizer's report,
// an allocation past the limits of run.sh) is a finding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/core/errors.hpp"
#include "io/data/byte_source.hpp"
#include "io/data/dataset.hpp"
#include "io/data/image_reader.hpp"
#include "io/run/spec/content_hash.hpp"

namespace gramtile::fuzz {

inline SharedBytes in_memory(std::span<const std::uint8_t> input) {
  const auto bytes = std::as_bytes(input);
  return from_memory({bytes.begin(), bytes.end()}, "fuzz");
}

/// A refusal must be one line that names the file.
inline void check_message(const Error& error) {
  const std::string message = error.what();
  if (error.kind() != ErrorKind::kData || message.find('\n') != std::string::npos ||
      !message.starts_with("fuzz")) {
    std::abort();
  }
}

/// Reads first and last image, all labels and, when it is quick, everything.
inline void use_images(std::unique_ptr<ImageReader> reader) {
  const SourceSpec whole = parse_source_spec("fuzz");
  const ImageShape shape = reader->shape();
  Dataset data(std::move(reader), whole);
  std::vector<double> pixels(static_cast<std::size_t>(shape.num_values()));
  const Index last = data.num_examples() - 1;
  if (data.labels() && static_cast<Index>(data.labels()->size()) != last + 1) std::abort();
  data.read({last, last + 1}, pixels);
  data.read({0, 1}, pixels);
  if (data.num_examples() * shape.num_values() < 65536) read_contents(data);
}

/// `open` makes an ImageReader of the input, or throws.
template <typename Open>
int run(const std::uint8_t* data, std::size_t size, Open open) {
  try {
    use_images(open(in_memory({data, size})));
  } catch (const Error& error) {
    check_message(error);
  }
  return 0;
}

}  // namespace gramtile::fuzz
