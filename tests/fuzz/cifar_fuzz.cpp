// CIFAR-10 records in one file.
#include "io/data/cifar.hpp"
#include "tests/fuzz/image_target.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace gramtile;
  return fuzz::run(data, size, [](SharedBytes bytes) { return open_cifar({std::move(bytes)}); });
}
