// The first three presets against the networks that the large golden files hold.
#include "engine/network/presets.hpp"

#include <doctest/doctest.h>

#include <map>

#include "io/network/network_json.hpp"
#include "tests/support/golden.hpp"

namespace gramtile::presets_test {
namespace {

void check_same_op(const Conv2dOp& a, const Conv2dOp& b) {
  CHECK(a.input == b.input);
  CHECK(a.geometry == b.geometry);
  CHECK(a.weight.value == b.weight.value);
  CHECK(a.bias.value == b.bias.value);
}
void check_same_op(const ActivationOp& a, const ActivationOp& b) {
  CHECK(a.input == b.input);
  CHECK(std::holds_alternative<Relu>(a.activation));
}
void check_same_op(const SumOp& a, const SumOp& b) { CHECK(a.inputs == b.inputs); }

// Two programs compute the same when every operation has the same numbers on the same values.
void check_same(const Program& a, const Program& b) {
  REQUIRE(a.ops.size() == b.ops.size());
  for (std::size_t n = 0; n < a.ops.size(); ++n) {
    CAPTURE(n);
    REQUIRE(a.ops[n].index() == b.ops[n].index());
    std::visit(
        [&](const auto& op) { check_same_op(op, std::get<std::decay_t<decltype(op)>>(b.ops[n])); },
        a.ops[n]);
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

}  // namespace gramtile::presets_test
