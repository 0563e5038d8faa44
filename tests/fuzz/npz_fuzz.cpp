// .npz archives: the zip directory, stored and deflated members, the choice of arrays.
#include "io/data/npz.hpp"
#include "tests/fuzz/image_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gramtile;
  return fuzz::run(data, size, [](const SharedBytes& bytes) {
    return open_npz(bytes, "", DatasetRole::kTrain);
  });
}
