// lower(): shapes worked out by hand, names and order of parameters, and every refusal but of size.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "engine/core/errors.hpp"
#include "engine/network/program.hpp"
#include "tests/support/lowering.hpp"

namespace gramtile::lower_test {

using namespace test;

namespace {

MapShape shape_after(const std::string& conv, ImageShape image) {
  // `conv` followed by a stride so long that one window is left.
  const Program program = lowered(
      layers(conv + R"(, {"type": "conv2d", "kernel_size": 1, "padding": 0, "stride": 1000})"),
      image);
  return program.values[1].shape;
}

std::vector<std::string> parameter_names(const Program& program) {
  std::vector<std::string> names;
  for (const Parameter& parameter : program.parameters) {
    names.push_back(parameter.name);
  }
  return names;
}

}  // namespace

TEST_CASE("padding same keeps the size for odd and even, dilated kernels") {
  for (const std::string kernel : {"1", "2", "3", "4", "7"}) {
    for (const std::string dilation : {"1", "2", "3"}) {
      const std::string conv =
          R"({"type": "conv2d", "kernel_size": )" + kernel + R"(, "dilation": )" + dilation + "}";
      CHECK(shape_after(conv, {1, 5, 9}) == MapShape{.height = 5, .width = 9});
    }
  }
}

TEST_CASE("padding same of an even kernel is one dilation shorter on the low side") {
  const Program program =
      lowered(layers(R"({"type": "conv2d", "kernel_size": 4, "dilation": 3})" + kEnd));
  const auto expected = WindowGeometry::square(
      {.kernel_size = 4, .stride = 1, .dilation = 3, .pad_low = 3, .pad_high = 6});
  CHECK(std::get<Conv2dOp>(program.ops[0]).geometry == expected);
}

TEST_CASE("output sizes are those worked out by hand") {
  // (28 + 2 − 2·1 − 1)/2 + 1 = 14 (13.5 rounded down, plus 1)
  CHECK(shape_after(R"({"type": "conv2d", "kernel_size": 3, "stride": 2})", {1, 28, 28}) ==
        MapShape{14, 14});
  // (13 + 2 − 2 − 1)/3 + 1 = 5 and (6 + 2 − 2 − 1)/3 + 1 = 2
  CHECK(shape_after(R"({"type": "conv2d", "kernel_size": 3, "stride": 3, "padding": 1})",
                    {2, 13, 6}) == MapShape{5, 2});
  // (9 + 0 − 2·3 − 1)/1 + 1 = 3
  CHECK(shape_after(R"({"type": "conv2d", "kernel_size": 4, "dilation": 2, "padding": 0})",
                    {1, 9, 9}) == MapShape{3, 3});
  // (2 + 2·5 − 3 − 0)/1 + ...: a window larger than the map, inside its padding
  CHECK(shape_after(R"({"type": "conv2d", "kernel_size": 7, "padding": 5})", {1, 2, 2}) ==
        MapShape{6, 6});
}

TEST_CASE("every number of a window can be one for each axis") {
  const std::string conv =
      R"({"type": "conv2d", "kernel_size": [3, 6], "stride": [2, 1], "dilation": [1, 2], "padding": )";
  // (13 + 2·1 − 2 − 1)/2 + 1 = 7 and (20 + 2·2 − 2·5 − 1)/1 + 1 = 14
  CHECK(shape_after(conv + "[1, 2]}", {1, 13, 20}) == MapShape{7, 14});
  CHECK(shape_after(conv + "\"valid\"}", {1, 13, 20}) == MapShape{6, 10});
  CHECK(shape_after(conv + "\"same\"}", {1, 13, 20}) == MapShape{7, 20});
  const Program program = lowered(layers(conv + R"("circular"}, {"type": "dense"})"), {1, 13, 20});
  const WindowGeometry expected{.y = {3, 2, 1, 1, 1}, .x = {6, 1, 2, 4, 6}, .circular = true};
  CHECK(std::get<Conv2dOp>(program.ops[0]).geometry == expected);
  CHECK(program.values[1].shape == MapShape{7, 20});
}

TEST_CASE("a window without padding goes round nothing") {
  const Program program = lowered(
      layers(R"({"type": "conv2d", "kernel_size": 1, "padding": "circular"}, {"type": "dense"})"));
  CHECK(std::get<Conv2dOp>(program.ops[0]).geometry == WindowGeometry{});
}

TEST_CASE("dense is a window over the whole map, of any sides, and counts by itself") {
  const Program program = lowered(layers(R"({"type": "conv2d", "kernel_size": 3},
      {"type": "dense", "var_weight": 3, "var_bias": 2}, {"type": "relu"}, {"type": "dense"})"),
                                  {1, 5, 9});
  const auto& dense = std::get<Conv2dOp>(program.ops[1]);
  CHECK(dense.geometry == WindowGeometry{.y = {5}, .x = {9}});
  CHECK(dense.weight.value == 3);
  CHECK(dense.bias.value == 2);
  CHECK(program.values[2].shape == MapShape{1, 1});
  CHECK(std::get<Conv2dOp>(program.ops[3]).geometry == WindowGeometry{});
  CHECK(parameter_names(program) == std::vector<std::string>{"conv0.var_weight",
                                                             "dense0.var_weight", "dense0.var_bias",
                                                             "dense1.var_weight"});
}

TEST_CASE("an identity is no operation") {
  const Program program = lowered(layers(
      R"({"type": "identity"}, {"type": "sum", "branches": [[{"type": "identity"}], []]})" + kEnd));
  REQUIRE(program.ops.size() == 2);
  CHECK(std::get<SumOp>(program.ops[0]).inputs == std::vector<ValueId>{0, 0});
}

TEST_CASE("numbers are counted depth-first, each turn of a repeat anew, and named ones follow") {
  const Program program = lowered(R"({
    "parameters": {"z": 2, "a": 3, "fixed": {"value": 5, "trainable": false}},
    "layers": [
      {"type": "repeat", "times": 2, "layers": [
        {"type": "conv2d", "kernel_size": 3, "var_bias": 0.5}, {"type": "relu"}]},
      {"type": "mixture", "logits": [0, 0], "branches": [
        [{"type": "conv2d", "kernel_size": 1, "var_weight": "z", "var_bias": "fixed"}],
        [{"type": "sum", "branches": [[], [{"type": "conv2d", "kernel_size": 1}]]}]]},
      {"type": "conv2d", "kernel_size": 8, "padding": 0,
       "var_weight": {"parameter": "z", "scale": 4}}]})");
  CHECK(parameter_names(program) == std::vector<std::string>{"conv0.var_weight", "conv0.var_bias",
                                                             "conv1.var_weight", "conv1.var_bias",
                                                             "mixture0.logit0", "mixture0.logit1",
                                                             "conv3.var_weight", "a", "z"});
  const auto& shared = std::get<Conv2dOp>(program.ops[4]);
  CHECK(shared.weight.parameter == 8);
  CHECK(shared.weight.value == 2);
  CHECK(shared.bias.value == 5);
  CHECK(shared.bias.parameter == kNoParameter);
  const auto& scaled = std::get<Conv2dOp>(program.ops.back());
  CHECK(scaled.weight.parameter == 8);
  CHECK(scaled.weight.value == 8);
  CHECK(scaled.weight.scale == 4);
  CHECK(program.parameters[8].value == 2);
}

TEST_CASE("a bias that is absent or 0 is no parameter, a named bias of 0 is one") {
  const std::string end = R"({"type": "conv2d", "kernel_size": 8, "padding": 0, "var_bias": )";
  CHECK(parameter_names(lowered(layers(end + "0}"))) ==
        std::vector<std::string>{"conv0.var_weight"});
  CHECK(parameter_names(lowered(R"({"parameters": {"b": 0}, "layers": [)" + end + R"("b"}]})")) ==
        std::vector<std::string>{"conv0.var_weight", "b"});
}

TEST_CASE("maps are known not to be negative behind a relu, and what is made of such alone") {
  const Program program = lowered(layers(
      R"({"type": "conv2d", "kernel_size": 1}, {"type": "relu"}, {"type": "conv2d", "kernel_size": 3},
         {"type": "sum", "branches": [[], []]}, {"type": "mixture", "logits": [1, 2],
          "branches": [[], [{"type": "relu"}]]})" +
      kEnd));
  std::vector<bool> flags;
  for (const Value& value : program.values) {
    flags.push_back(value.nonnegative);
  }
  CHECK(flags == std::vector<bool>{false, false, true, true, true, true, true, true});
}

TEST_CASE("a sum with one branch that may be negative may be negative") {
  const Program program =
      lowered(layers(R"({"type": "sum", "branches": [[], [{"type": "relu"}]]})" + kEnd));
  CHECK(program.values[1].nonnegative);
  CHECK_FALSE(program.values[2].nonnegative);
}

TEST_CASE("of images without negative pixels nothing is negative") {
  Program program =
      lowered(layers(R"({"type": "sum", "branches": [[], [{"type": "relu"}]]})" + kEnd));
  assume_nonnegative_images(program);
  for (const Value& value : program.values) CHECK(value.nonnegative);
}

TEST_CASE("an identity branch is the input's value itself, and may occur twice") {
  const Program program = lowered(layers(R"({"type": "sum", "branches": [[], []]})" + kEnd));
  const auto& sum = std::get<SumOp>(program.ops[0]);
  CHECK(sum.inputs == std::vector<ValueId>{0, 0});
  CHECK(sum.weights == std::vector<double>{1, 1});
  CHECK(sum.first_logit == kNoParameter);
}

TEST_CASE("mixture weights are the softmax of the logits, also of huge ones") {
  const Program program = lowered(
      layers(R"({"type": "mixture", "logits": [1000, 1001], "branches": [[], []]})" + kEnd));
  const auto& sum = std::get<SumOp>(program.ops[0]);
  const double e = std::exp(1.0);
  CHECK(sum.weights[0] == doctest::Approx(1 / (1 + e)).epsilon(1e-15));
  CHECK(sum.weights[1] == doctest::Approx(e / (1 + e)).epsilon(1e-15));
  CHECK(sum.first_logit == 0);
}

TEST_CASE("a slope whose square would not be finite is refused with its place") {
  const auto leaky = [](const std::string& slope) {
    return layers(R"({"type": "leaky_relu", "negative_slope": )" + slope + "}" + kEnd);
  };
  CHECK_NOTHROW(lowered(leaky("1e100")));
  contains(refusal(leaky("1e300")), "layers[0].negative_slope: must be between -1e+100 and 1e+100");
  contains(refusal(leaky("-2e100")), "layers[0].negative_slope");
  for (const double slope : {std::nan(""), std::numeric_limits<double>::infinity()}) {
    const Network network{.name = "", .parameters = {}, .layers = {{LeakyRelu{slope}}}};
    CHECK_THROWS_AS(lower(network, kImage), NetworkError);
  }
}

TEST_CASE("what an activation puts out is known not to be negative where it cannot be") {
  const auto nonnegative = [](const std::string& activations, bool images) {
    Program program = lowered(layers(activations + kEnd));
    if (images) assume_nonnegative_images(program);
    return program.values[static_cast<std::size_t>(program.output)].nonnegative;
  };
  const std::string erf = R"({"type": "erf"})", relu = R"({"type": "relu"})";
  const std::string rising = R"({"type": "leaky_relu", "negative_slope": 0.1})";
  const std::string falling = R"({"type": "leaky_relu", "negative_slope": -0.1})";
  for (const std::string& activation : {relu, falling}) CHECK(nonnegative(activation, false));
  for (const std::string& activation : {erf, rising}) {
    CHECK(!nonnegative(activation, false));
    CHECK(nonnegative(activation, true));
    CHECK(nonnegative(relu + ", " + activation, false));
  }
}

TEST_CASE("activations are numbered in program order") {
  const Program program = lowered(layers(R"({"type": "relu"}, {"type": "erf"})" + kEnd));
  CHECK(program.num_activations == 2);
  CHECK(std::get<ActivationOp>(program.ops[1]).number == 1);
}

TEST_CASE("a network that does not end 1×1 is refused with the size reached and a remedy") {
  const std::string message = refusal(layers(R"({"type": "relu"})"));
  contains(message, "ends with maps of 8×8, not 1×1");
  contains(message, "end it with a dense layer");
}

TEST_CASE("branches of unequal shape are refused with both shapes") {
  const std::string message = refusal(layers(
      R"({"type": "sum", "branches": [[], [{"type": "conv2d", "kernel_size": 3, "stride": 2}]]})"));
  contains(message, "layers[0].branches[1]: gives maps of 4×4, but branches[0] of 8×8");
}

TEST_CASE("a window larger than the padded map is refused") {
  contains(refusal(layers(R"({"type": "conv2d", "kernel_size": 9, "padding": 0})")),
           "layers[0].kernel_size: a window of 9×9 pixels does not fit maps of 8×8");
}

TEST_CASE("geometry out of range is refused with its path") {
  const auto conv = [](const std::string& keys) {
    return layers(R"({"type": "relu"}, {"type": "conv2d", )" + keys + "}");
  };
  const std::vector<std::pair<std::string, std::string>> cases{
      {R"("kernel_size": 0)", "layers[1].kernel_size: must be between 1"},
      {R"("kernel_size": -1)", "layers[1].kernel_size: must be between 1"},
      {R"("kernel_size": 2147483648)", "layers[1].kernel_size: must be between 1"},
      {R"("kernel_size": 9223372036854775807)", "layers[1].kernel_size: must be between 1"},
      {R"("kernel_size": 3, "stride": 0)", "layers[1].stride: must be between 1"},
      {R"("kernel_size": 3, "stride": -9223372036854775808)", "layers[1].stride: must be"},
      {R"("kernel_size": 3, "dilation": 0)", "layers[1].dilation: must be between 1"},
      {R"("kernel_size": 3, "dilation": 4294967296)", "layers[1].dilation: must be between 1"},
      {R"("kernel_size": 3, "padding": -1)", "layers[1].padding: must be between 0"},
      {R"("kernel_size": [3, 0])", "layers[1].kernel_size: must be between 1"},
      {R"("kernel_size": [0, 3])", "layers[1].kernel_size: must be between 1"},
      {R"("kernel_size": 3, "stride": [1, 0])", "layers[1].stride: must be between 1"},
      {R"("kernel_size": 3, "dilation": [0, 1])", "layers[1].dilation: must be between 1"},
      {R"("kernel_size": 3, "padding": [0, -1])", "layers[1].padding: must be between 0"},
      {R"("kernel_size": 3, "padding": [0, 1048576])", "layers[1].padding: maps of"},
      {R"("kernel_size": [2, 9], "padding": "valid")",
       "layers[1].kernel_size: a window of 2×9 pixels does not fit maps of 8×8"},
      {R"("kernel_size": [9, 2], "padding": 0)",
       "layers[1].kernel_size: a window of 9×2 pixels does not fit maps of 8×8"},
      {R"("kernel_size": 3, "padding": 9223372036854775807)", "layers[1].padding: must be"},
      {R"("kernel_size": 3, "padding": 1048576)", "layers[1].padding: maps of"},
      {R"("kernel_size": 1048576, "dilation": 1048576)", "layers[1].padding: maps of"},
  };
  for (const auto& [keys, expected] : cases) {
    contains(refusal(conv(keys)), expected);
  }
}

TEST_CASE("a variance that is negative or not finite is refused") {
  Network network{.name = "", .parameters = {}, .layers = {}};
  Conv2d conv{.kernel_size = 8, .padding = 0};
  for (const double value : {-1e-300, std::numeric_limits<double>::infinity(),
                             std::numeric_limits<double>::quiet_NaN()}) {
    conv.var_weight.value = value;
    network.layers = Layers(1, Layer{conv});
    CHECK_THROWS_AS(lower(network, kImage), NetworkError);
  }
  contains(refusal(layers(R"({"type": "conv2d", "kernel_size": 8, "var_bias": -1})")),
           "layers[0].var_bias: a variance must be finite and not negative, found -1");
  contains(refusal(R"({"parameters": {"w": -2}, "layers": []})"), "parameters.w: a variance");
}

TEST_CASE("a scale that is negative, or whose product overflows, is refused") {
  const auto scaled = [](const std::string& scale) {
    return R"({"parameters": {"w": 1e300}, "layers": [{"type": "conv2d", "kernel_size": 8,
               "padding": 0, "var_weight": {"parameter": "w", "scale": )" +
           scale + "}}]}";
  };
  contains(refusal(scaled("-1")), "layers[0].var_weight.scale: a variance");
  contains(refusal(scaled("1e300")), "layers[0].var_weight: a variance must be finite");
}

TEST_CASE("paths lead through repeats and branches") {
  contains(refusal(layers(R"({"type": "repeat", "times": 1, "layers": [{"type": "relu"},
      {"type": "sum", "branches": [[{"type": "relu"}, {"type": "relu"},
        {"type": "conv2d", "kernel_size": 3, "var_weight": "nobody"}]]}]})")),
           "layers[0].layers[1].branches[0][2].var_weight: no parameter is called \"nobody\"");
}

TEST_CASE("a named parameter cannot take the name of a number") {
  contains(refusal(R"({"parameters": {"conv0.var_weight": 1}, "layers": [
                       {"type": "conv2d", "kernel_size": 8, "padding": 0}]})"),
           "parameters.conv0.var_weight: this name is taken");
}

TEST_CASE("sums and mixtures without branches, and logits that do not match, are refused") {
  contains(refusal(layers(R"({"type": "sum", "branches": []})")), "layers[0].branches: at least");
  contains(refusal(layers(R"({"type": "mixture", "branches": [], "logits": []})")),
           "layers[0].branches: at least");
  contains(refusal(layers(R"({"type": "mixture", "branches": [[]], "logits": [1, 2]})")),
           "layers[0].logits: one for each of the 1 branches is needed, found 2");
  const double infinity = std::numeric_limits<double>::infinity();
  const Layer mixture{Mixture{{Layers{}}, {infinity}}};
  const Network network{.name = "", .parameters = {}, .layers = Layers(1, mixture)};
  CHECK_THROWS_AS(lower(network, kImage), NetworkError);
}

TEST_CASE("images without pixels, or with too many, are refused") {
  const std::string network = layers("");
  contains(refusal(network, {0, 8, 8}), "cannot be used");
  contains(refusal(network, {1, 0, 8}), "cannot be used");
  contains(refusal(network, {1, -1, -1}), "cannot be used");
  constexpr Index kHuge = std::numeric_limits<Index>::max();
  contains(refusal(network, {1, kHuge, kHuge}), "cannot be used");
}

}  // namespace gramtile::lower_test
