// Data sources as command-line arguments.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "engine/core/errors.hpp"
#include "io/data/source_spec.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gramtile;
  try {
    const SourceSpec spec =
        parse_source_spec(std::string(reinterpret_cast<const char*>(data), size));
    if (spec.path.empty()) std::abort();
    for (const Range range : resolve_ranges(spec, 1000)) {
      if (range.start < 0 || range.size() < 1 || range.stop > 1000) std::abort();
    }
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::kUsage) std::abort();
    if (std::string(error.what()).find('\n') != std::string::npos) std::abort();
  }
  return 0;
}
