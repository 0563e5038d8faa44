// The first three presets against the networks that the large golden files hold.
#include "engine/network/presets.hpp"

#include <doctest/doctest.h>

#include <map>

#include "io/network/network_json.hpp"
#include "tests/support/golden.hpp"

namespace gramtile {
namespace {

// Two programs compute the same when every operation has the same numbers on the same values.
void check_same(const Program& a, const Program& b) {
  REQUIRE(a.ops.size() == b.ops.size());
  for (std::size_t n = 0; n < a.ops.size(); ++n) {
    CAPTURE(n);
    REQUIRE(a.ops[n].index() == b.ops[n].index());
    if (const auto* conv = std::get_if<Conv2dOp>(&a.ops[n])) {
      const auto& other = std::get<Conv2dOp>(b.ops[n]);
      CHECK(conv->input == other.input);
      CHECK(conv->geometry == other.geometry);
      CHECK(conv->weight.value == other.weight.value);
      CHECK(conv->bias.value == other.bias.value);
    } else if (const auto* relu = std::get_if<ActivationOp>(&a.ops[n])) {
      CHECK(relu->input == std::get<ActivationOp>(b.ops[n]).input);
      CHECK(std::holds_alternative<Relu>(relu->activation));
    } else {
      CHECK(std::get<SumOp>(a.ops[n]).inputs == std::get<SumOp>(b.ops[n]).inputs);
    }
  }
}

}  // namespace

TEST_SUITE("reference") {
  TEST_CASE("presets are the networks of the golden files") {
    const std::map<std::string, std::string> preset_of{{"convnet_gp", "convnet-gp"},
                                                       {"residual_cnn_gp", "residual-cnn-gp"},
                                                       {"resnet32", "resnet32-gp"}};
    for (const test::GoldenCase& golden : test::golden_cases()) {
      if (const auto found = preset_of.find(golden.name); found != preset_of.end()) {
        CAPTURE(golden.name);
        check_same(lower(*preset_network(found->second), golden.shape), golden.program());
      }
    }
  }
}

}  // namespace gramtile
