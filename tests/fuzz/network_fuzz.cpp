// Network files: what is accepted survives a round trip through to_json(), and lowering it either
// works or is refused.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "engine/core/errors.hpp"
#include "engine/network/program.hpp"
#include "io/network/network_json.hpp"

namespace {

using namespace gramtile;

void check_round_trip(const Network& network) {
  const std::string text = to_json(network);
  if (to_json(read_network(text, "fuzz")) != text) std::abort();
}

void check_lowering(const Network& network) {
  try {
    const Program program = lower(network, {.channels = 1, .height = 8, .width = 8});
    if (static_cast<Index>(program.ops.size()) > kMaxOps) std::abort();
  } catch (const NetworkError&) {
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  Network network;
  try {
    network = read_network(std::string(reinterpret_cast<const char*>(data), size), "fuzz");
  } catch (const NetworkError& error) {
    if (std::string(error.what()).find('\n') != std::string::npos) std::abort();
    return 0;
  }
  check_round_trip(network);
  check_lowering(network);
  return 0;
}
