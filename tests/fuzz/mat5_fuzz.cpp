// MATLAB's .mat files of version 5: elements, compressed or not, and the choice of variables.
#include "io/data/mat5.hpp"
#include "tests/fuzz/image_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gramtile;
  return fuzz::run(data, size, [](const SharedBytes& bytes) {
    return open_mat5(bytes, "", DatasetRole::kTrain, std::uint64_t{1} << 20);
  });
}
