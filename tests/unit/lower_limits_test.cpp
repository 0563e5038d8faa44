// lower(): networks that are too large are refused before they take memory or time.
#include <doctest/doctest.h>

#include <string>
#include <utility>

#include "engine/core/errors.hpp"
#include "engine/network/program.hpp"
#include "tests/support/lowering.hpp"

namespace gramtile::lower_limits_test {

using namespace test;

// Counted before they are unfolded: unfolding them would not end.
TEST_CASE("networks that unfold without end are refused") {
  const std::string relu = R"({"type": "relu"})";
  const auto repeat = [](const std::string& times, const std::string& body) {
    return R"({"type": "repeat", "times": )" + times + R"(, "layers": [)" + body + "]}";
  };
  contains(refusal(layers(repeat("0", relu))), "layers[0].times: must be at least 1");
  contains(refusal(layers(repeat("-3", relu))), "layers[0].times: must be at least 1");
  contains(refusal(layers(repeat("1000000", relu))), "more than 10000 operations");
  contains(refusal(layers(repeat("9223372036854775807", ""))), "turns of repeats");
  std::string nested = "";
  for (int level = 0; level < 25; ++level) {
    nested = repeat("1000000", nested);
  }
  contains(refusal(layers(nested)), "turns of repeats");
  std::string branches = "[]";
  for (int b = 0; b < 200'000; ++b) {
    branches += ",[]";
  }
  contains(refusal(layers(repeat("100", R"({"type": "sum", "branches": [)" + branches + "]}"))),
           "turns of repeats");
  Network many{.name = "", .parameters = {}, .layers = Layers(1'000'000, Layer{Relu{}})};
  CHECK_THROWS_AS(lower(many, kImage), NetworkError);
}

TEST_CASE("layers nested too deep are refused") {
  Layers inner;
  for (int level = 0; level < 1000; ++level) {
    Layers outer;
    outer.push_back(Layer{Sequential{std::move(inner)}});
    inner = std::move(outer);
  }
  const Network network{.name = "", .parameters = {}, .layers = std::move(inner)};
  try {
    lower(network, kImage);
    FAIL("accepted");
  } catch (const NetworkError& error) {
    contains(error.what(), "nested more than 64 deep");
  }
}

TEST_CASE("a network of exactly the most operations is accepted") {
  const std::string most = std::to_string(kMaxOps - 1);
  const Program program = lowered(layers(R"({"type": "repeat", "times": )" + most +
                                         R"(, "layers": [{"type": "relu"}]})" + kEnd));
  CHECK(static_cast<Index>(program.ops.size()) == kMaxOps);
}

}  // namespace gramtile::lower_limits_test
