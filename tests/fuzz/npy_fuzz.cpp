// .npy files.
#include <optional>

#include "io/data/npy.hpp"
#include "tests/fuzz/image_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gramtile;
  return fuzz::run(data, size, [](SharedBytes bytes) {
    return open_raw_images(parse_npy(std::move(bytes)), std::nullopt);
  });
}
