// list_parameters(): what lower() makes of the same network, without images.
#include "engine/network/parameter_list.hpp"

#include <doctest/doctest.h>

#include "engine/core/errors.hpp"
#include "engine/network/parameter_values.hpp"
#include "io/network/network_json.hpp"
#include "tests/support/any_network.hpp"

namespace gramtile::parameter_list_test {
namespace {

std::vector<ListedParameter> listed(const std::string& json) {
  return list_parameters(read_network(json, ""));
}

}  // namespace

TEST_CASE("parameters are listed as lower() has them, for networks that nobody picked") {
  Index num_logits = 0, num_fixed = 0;
  for (std::uint64_t seed = 1; seed <= 1000; ++seed) {
    const test::RandomCase drawn = test::any_case(seed);
    const Program program = drawn.program();
    const std::vector<bool> is_logit = parameters_that_are_logits(program);
    const std::vector<ListedParameter> list = list_parameters(drawn.network);
    CAPTURE(to_json(drawn.network));
    REQUIRE(list.size() >= program.parameters.size());
    for (std::size_t p = 0; p < list.size(); ++p) {
      REQUIRE(list[p].trainable == (p < program.parameters.size()));
      if (!list[p].trainable) {
        ++num_fixed;
        continue;
      }
      REQUIRE(list[p].name == program.parameters[p].name);
      REQUIRE(list[p].value == program.parameters[p].value);
      REQUIRE((list[p].kind == ParameterKind::kLogit) == is_logit[p]);
      num_logits += is_logit[p] ? 1 : 0;
    }
  }
  CHECK(num_logits > 100);
  CHECK(num_fixed > 100);
}

TEST_CASE("each place of a parameter is told") {
  const auto list =
      listed(R"({"parameters": {"w": 2, "b": {"value": 1, "trainable": false}, "u": 3},
    "layers": [{"type": "repeat", "times": 2, "layers": [
                 {"type": "conv2d", "kernel_size": 3, "var_weight": "w", "var_bias": 0.5}]},
               {"type": "mixture", "logits": [0, 1], "branches": [[], [{"type": "relu"}]]},
               {"type": "dense", "var_weight": {"parameter": "w", "scale": 4}, "var_bias": "b"}]})");
  REQUIRE(list.size() == 7);
  CHECK(list[0].name == "conv0.var_bias");
  CHECK(list[0].places == std::vector<std::string>{"layers[0].layers[0].var_bias"});
  CHECK(list[1].name == "conv1.var_bias");
  CHECK(list[2].name == "mixture0.logit0");
  CHECK(list[3].places == std::vector<std::string>{"layers[1].logits[1]"});
  CHECK(list[4].name == "u");
  CHECK(list[4].places.empty());
  CHECK(list[5].name == "w");
  CHECK(list[5].places == std::vector<std::string>{"layers[0].layers[0].var_weight",
                                                   "layers[0].layers[0].var_weight",
                                                   "layers[2].var_weight"});
  CHECK(list[6].name == "b");
  CHECK(!list[6].trainable);
}

TEST_CASE("a network that lower() cannot walk is not listed") {
  CHECK_THROWS_WITH_AS(listed(R"({"layers": [{"type": "dense", "var_weight": "w"}]})"),
                       "layers[0].var_weight: no parameter is called \"w\"", NetworkError);
  CHECK_THROWS_AS(listed(R"({"layers": [{"type": "repeat", "times": 1000000000, "layers": []}]})"),
                  NetworkError);
}

}  // namespace gramtile::parameter_list_test
