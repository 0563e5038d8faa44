// The strict reader, refusal by refusal, and the canonical text.
#include "io/network/network_json.hpp"

#include <doctest/doctest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>

#include "engine/core/errors.hpp"
#include "engine/network/presets.hpp"
#include "tests/support/random_network.hpp"

namespace gramtile::network_json_test {
namespace {

std::string refusal(const std::string& text) {
  try {
    read_network(text, "net.json");
  } catch (const NetworkError& error) {
    return error.what();
  }
  return "accepted";
}

void check_refused(const std::string& text, const std::string& expected) {
  const std::string message = refusal(text);
  INFO(message);
  CHECK(message.find(expected) != std::string::npos);
  CHECK(message.starts_with("net.json: "));
  CHECK(message.find('\n') == std::string::npos);
  CHECK(message.size() < 500);
}

std::string layer(const std::string& keys) { return R"({"layers": [{)" + keys + "}]}"; }

std::string conv(const std::string& keys) {
  return layer(R"("type": "conv2d", "kernel_size": 3, )" + keys);
}

std::string repeated(const std::string& text, int times) {
  std::string result;
  for (int i = 0; i < times; ++i) {
    result += text;
  }
  return result;
}

}  // namespace

TEST_CASE("every key is read") {
  const Network network = read_network(R"(
    // comments
    {"name": "my net", /* of both kinds */
     "parameters": {"w": 2.79, "b": {"value": 7.86, "trainable": false}, "c": {"value": 1}},
     "layers": [
       {"type": "repeat", "times": 7, "layers": [
         {"type": "conv2d", "kernel_size": 7, "stride": 2, "padding": "same", "dilation": 3,
          "var_weight": {"parameter": "w", "scale": 49}, "var_bias": "b"}]},
       {"type": "sequential", "layers": [{"type": "relu"}]},
       {"type": "sum", "branches": [[], [{"type": "relu"}, {"type": "relu"}]]},
       {"type": "mixture", "branches": [[], []], "logits": [0.5, -1]},
       {"type": "conv2d", "kernel_size": 28, "padding": 4, "var_weight": 3}]})",
                                       "net.json");
  CHECK(network.name == "my net");
  CHECK(network.parameters.at("w").value == 2.79);
  CHECK(network.parameters.at("w").trainable);
  CHECK_FALSE(network.parameters.at("b").trainable);
  CHECK(network.parameters.at("c").trainable);
  const auto& repeat = std::get<Repeat>(network.layers.at(0).kind);
  CHECK(repeat.times == 7);
  const auto& first = std::get<Conv2d>(repeat.layers.at(0).kind);
  CHECK(first.kernel_size == 7);
  CHECK(first.stride == 2);
  CHECK(first.padding == Padding());
  CHECK(first.dilation == 3);
  CHECK(first.var_weight.parameter == "w");
  CHECK(first.var_weight.scale == 49);
  CHECK(first.var_bias.parameter == "b");
  CHECK(first.var_bias.scale == 1);
  CHECK(std::get<Sequential>(network.layers.at(1).kind).layers.size() == 1);
  CHECK(std::get<Sum>(network.layers.at(2).kind).branches.at(1).size() == 2);
  CHECK(std::get<Mixture>(network.layers.at(3).kind).logits == std::vector<double>{0.5, -1});
  const auto& last = std::get<Conv2d>(network.layers.at(4).kind);
  CHECK(last.padding == 4);
  CHECK(last.var_weight.value == 3);
  CHECK_FALSE(last.var_weight.parameter.has_value());
}

TEST_CASE("numbers of a window are read for both axes, or for each") {
  const Network network = read_network(R"({"layers": [
    {"type": "conv2d", "kernel_size": [3, 5], "stride": [2, 1], "padding": [1, 2],
     "dilation": [4, 6]},
    {"type": "conv2d", "kernel_size": 3, "padding": "circular"},
    {"type": "conv2d", "kernel_size": 3, "padding": "valid"},
    {"type": "identity"}, {"type": "dense", "var_weight": 2, "var_bias": 3}]})",
                                       "");
  const auto& first = std::get<Conv2d>(network.layers.at(0).kind);
  CHECK(first.kernel_size == PerAxis{3, 5});
  CHECK(first.stride == PerAxis{2, 1});
  CHECK(first.padding == Padding(PerAxis{1, 2}));
  CHECK(first.dilation == PerAxis{4, 6});
  CHECK(std::get<Conv2d>(network.layers.at(1).kind).padding == Padding::circular());
  CHECK(std::get<Conv2d>(network.layers.at(2).kind).padding == Padding(0));
  CHECK(std::holds_alternative<Identity>(network.layers.at(3).kind));
  CHECK(std::get<Dense>(network.layers.at(4).kind).var_weight.value == 2);
  CHECK(std::get<Dense>(network.layers.at(4).kind).var_bias.value == 3);
}

TEST_CASE("canonical text has one number where both axes have the same") {
  const auto padding_in = [](const std::string& padding) {
    const std::string text = to_json(read_network(conv("\"padding\": " + padding), ""));
    const std::string key = "\"padding\":";
    const std::size_t start = text.find(key) + key.size();
    return text.substr(start, text.find(",\"dilation\"") - start);
  };
  CHECK(padding_in("\"same\"") == "\"same\"");
  CHECK(padding_in("\"circular\"") == "\"circular\"");
  CHECK(padding_in("\"valid\"") == "0");
  CHECK(padding_in("[2, 2]") == "2");
  CHECK(padding_in("[2, 1]") == "[2,1]");
}

TEST_CASE("what is left out has cnn-gp's defaults") {
  const Network network = read_network(R"({"layers": [{"type": "conv2d", "kernel_size": 5}]})", "");
  const auto& conv2d = std::get<Conv2d>(network.layers.at(0).kind);
  CHECK(conv2d.stride == 1);
  CHECK(conv2d.padding == Padding());
  CHECK(conv2d.dilation == 1);
  CHECK(conv2d.var_weight.value == 1);
  CHECK(conv2d.var_bias.value == 0);
}

TEST_CASE("text that is not JSON is refused with the place") {
  check_refused("", "not JSON");
  check_refused("{\"layers\": [\n  }", "line 2");
  check_refused(R"({"layers": []} trailing)", "not JSON");
  check_refused("{\"layers\": [\"\xff\"]}", "not JSON");
  check_refused("{\"name\": \"" + repeated("x", 10'000) + "\n\"}", "not JSON");
  check_refused(R"({"layers": [NaN]})", "not JSON");
  check_refused("/* never closed", "not JSON");
}

TEST_CASE("numbers beyond double are refused") {
  check_refused(conv(R"("var_weight": 1e999)"), "not JSON: number overflow");
  check_refused(conv(R"("var_weight": -1e999)"), "not JSON: number overflow");
}

TEST_CASE("text beyond the size limit is refused, at the limit it is read") {
  const std::string text = R"({"layers": []})";
  const std::string full = text + std::string(kMaxNetworkBytes - text.size(), ' ');
  CHECK(read_network(full, "").layers.empty());
  check_refused(full + " ", "larger than 1048576 bytes");
}

TEST_CASE("nesting beyond the limit is refused, a million levels too") {
  const auto nested = [](int levels) {
    return R"({"layers": )" + repeated("[", levels) + repeated("]", levels) + "}";
  };
  check_refused(nested(kMaxJsonDepth), "nested more than 64 deep");
  check_refused(nested(kMaxJsonDepth - 1), "layers[0]: must be an object, found a list");
  check_refused(nested(500'000), "nested more than 64 deep");
  check_refused(repeated("[", 1'000'000), "nested more than 64 deep");
  check_refused(repeated("{\"a\":", 200'000), "nested more than 64 deep");
  const std::string million = repeated("[", 1'000'000) + repeated("]", 1'000'000);
  check_refused(million, "larger than");
}

TEST_CASE("the same key twice in one object is refused, in two objects it is not") {
  check_refused(R"({"layers": [], "layers": []})", "the key \"layers\" stands twice");
  check_refused(conv(R"("stride": 1, "stride": 1)"), "the key \"stride\" stands twice");
  check_refused(R"({"parameters": {"w": 1, "w": 1}, "layers": []})", "the key \"w\" stands twice");
  CHECK(read_network(R"({"layers": [{"type": "relu"}, {"type": "relu"}]})", "").layers.size() == 2);
}

TEST_CASE("unknown keys are refused with the nearest known one") {
  check_refused(conv(R"("strides": 1)"),
                "layers[0]: unknown key \"strides\"; did you mean \"stride\"?");
  check_refused(conv(R"("var_wieght": 1)"), "did you mean \"var_weight\"?");
  check_refused(layer(R"("type": "relu", "kernel_size": 1)"), "unknown key \"kernel_size\"");
  check_refused(R"({"layer": []})", "unknown key \"layer\"; did you mean \"layers\"?");
  check_refused(conv(R"("var_weight": {"parameter": "w", "scales": 1})"),
                "layers[0].var_weight: unknown key \"scales\"");
  check_refused(R"({"parameters": {"w": {"value": 1, "train": true}}, "layers": []})",
                "parameters.w: unknown key \"train\"");
  check_refused(conv("\"" + repeated("k", 100'000) + "\": 1"), "unknown key \"kkkk");
  check_refused(conv(R"("a\nb": 1)"), "unknown key \"a b\"");
}

TEST_CASE("missing keys are refused by name") {
  check_refused("{}", "the key \"layers\" is missing");
  check_refused(layer(""), "layers[0]: the key \"type\" is missing");
  check_refused(layer(R"("type": "conv2d")"), "layers[0]: the key \"kernel_size\" is missing");
  check_refused(layer(R"("type": "repeat", "layers": [])"), "the key \"times\" is missing");
  check_refused(layer(R"("type": "repeat", "times": 2)"), "the key \"layers\" is missing");
  check_refused(layer(R"("type": "sequential")"), "the key \"layers\" is missing");
  check_refused(layer(R"("type": "sum")"), "the key \"branches\" is missing");
  check_refused(layer(R"("type": "mixture", "branches": [[]])"), "the key \"logits\" is missing");
  check_refused(conv(R"("var_bias": {"scale": 2})"), "the key \"parameter\" is missing");
  check_refused(R"({"parameters": {"w": {}}, "layers": []})", "the key \"value\" is missing");
}

TEST_CASE("unknown types are refused with the list of types") {
  check_refused(layer(R"("type": "conv3d")"),
                "layers[0].type: no layer is called \"conv3d\"; there are conv2d, dense, relu");
}

TEST_CASE("nothing is converted") {
  check_refused("[]", "must be an object, found a list");
  check_refused(R"({"layers": {}})", "layers: must be a list, found an object");
  check_refused(R"({"name": 3, "layers": []})", "name: must be a string, found 3");
  check_refused(R"({"layers": [3]})", "layers[0]: must be an object, found 3");
  check_refused(layer(R"("type": 3)"), "layers[0].type: must be a string");
  check_refused(layer(R"("type": "conv2d", "kernel_size": 3.0)"),
                "layers[0].kernel_size: must be an integer, or a list of two, found 3.0");
  check_refused(layer(R"("type": "conv2d", "kernel_size": true)"),
                "must be an integer, or a list of two, found true");
  check_refused(layer(R"("type": "conv2d", "kernel_size": "3")"),
                "must be an integer, or a list of two, found \"3\"");
  check_refused(layer(R"("type": "conv2d", "kernel_size": null)"),
                "must be an integer, or a list of two, found null");
  check_refused(layer(R"("type": "conv2d", "kernel_size": 18446744073709551615)"),
                "layers[0].kernel_size: must be at most 9223372036854775807");
  check_refused(layer(R"("type": "conv2d", "kernel_size": 1e3)"), "must be an integer");
  check_refused(layer(R"("type": "conv2d", "kernel_size": 100000000000000000000)"),
                "must be an integer");
  check_refused(conv(R"("stride": 1.5)"), "layers[0].stride: must be an integer");
  check_refused(conv(R"("dilation": [])"), "layers[0].dilation: must be an integer");
  const std::string paddings =
      "layers[0].padding: must be an integer, a list of two, \"same\", \"valid\" or \"circular\"";
  for (const char* padding : {"\"reflect\"", "1.0", "[]", "[1]", "[1, 2, 3]", "{}", "null"}) {
    check_refused(conv(std::string("\"padding\": ") + padding), paddings);
  }
  check_refused(conv(R"("padding": [1, "same"])"), "layers[0].padding[1]: must be an integer");
  check_refused(conv(R"("stride": [1, 2, 3])"),
                "layers[0].stride: must be an integer, or a list of two");
  check_refused(conv(R"("dilation": [1.0, 2])"), "layers[0].dilation[0]: must be an integer");
  check_refused(conv(R"("var_weight": true)"), "layers[0].var_weight: must be a number");
  check_refused(conv(R"("var_weight": {"parameter": 3})"),
                "var_weight.parameter: must be a string");
  check_refused(conv(R"("var_weight": {"parameter": "w", "scale": "2"})"),
                "layers[0].var_weight.scale: must be a number");
  check_refused(layer(R"("type": "repeat", "times": 2.0, "layers": [])"),
                "layers[0].times: must be an integer");
  check_refused(layer(R"("type": "sum", "branches": [3])"),
                "layers[0].branches[0]: must be a list");
  check_refused(layer(R"("type": "sum", "branches": [[], [{"type": "relu"}, 1]])"),
                "layers[0].branches[1][1]: must be an object");
  check_refused(layer(R"("type": "mixture", "branches": [[]], "logits": [false])"),
                "layers[0].logits[0]: must be a number");
  check_refused(R"({"parameters": [], "layers": []})", "parameters: must be an object");
  check_refused(R"({"parameters": {"w": "2"}, "layers": []})", "parameters.w: must be a number");
  check_refused(R"({"parameters": {"w": {"value": 1, "trainable": 1}}, "layers": []})",
                "parameters.w.trainable: must be true or false");
}

TEST_CASE("names that would not fit on one line are refused") {
  check_refused(R"({"name": "a\nb", "layers": []})", "name: must be at most 100 bytes");
  check_refused(R"({"name": ")" + repeated("n", 101) + R"(", "layers": []})", "name: must be");
  check_refused(R"({"parameters": {"a\u0000b": 1}, "layers": []})", "parameters: must be");
  check_refused(R"({"parameters": {"": 1}, "layers": []})", "parameters: a parameter has an empty");
}

TEST_CASE("the canonical text reads back as the same network, for presets and random networks") {
  for (const std::string_view name : preset_names()) {
    const std::string text = to_json(*preset_network(name));
    CHECK(to_json(read_network(text, "")) == text);
  }
  for (std::uint64_t seed = 0; seed < 30; ++seed) {
    CAPTURE(seed);
    const std::string text = to_json(test::random_case(seed).network);
    CHECK(to_json(read_network(text, "")) == text);
  }
}

TEST_CASE("the canonical text holds every default and every digit") {
  const Network network = read_network(
      R"({"layers": [{"kernel_size": 3, "type": "conv2d", "var_weight": 0.1}, {"type": "relu"}],
          "parameters": {"w": {"trainable": false, "value": 0.30000000000000004}}})",
      "");
  CHECK(to_json(network) ==
        R"({"name":"","parameters":{"w":{"value":0.30000000000000004,"trainable":false}},)"
        R"("layers":[{"type":"conv2d","kernel_size":3,"stride":1,"padding":"same","dilation":1,)"
        R"("var_weight":0.1,"var_bias":0.0},{"type":"relu"}]})");
}

TEST_CASE("activations are read with their numbers, and written as they are read") {
  const std::string text =
      R"({"name":"","parameters":{},"layers":[{"type":"relu"},)"
      R"({"type":"leaky_relu","negative_slope":-0.30000000000000004},{"type":"erf"}]})";
  const Network network = read_network(text, "");
  const auto activation = [&](std::size_t i) {
    return std::get<Activation>(network.layers.at(i).kind);
  };
  CHECK(std::holds_alternative<Relu>(activation(0)));
  CHECK(std::get<LeakyRelu>(activation(1)).negative_slope == -0.30000000000000004);
  CHECK(std::holds_alternative<Erf>(activation(2)));
  CHECK(to_json(network) == text);
  check_refused(layer(R"("type": "leaky_relu")"), "negative_slope");
  check_refused(layer(R"("type": "leaky_relu", "negative_slope": "1")"),
                "layers[0].negative_slope");
  check_refused(layer(R"("type": "leaky_relu", "negative_slope": 1e999)"), "999");
  check_refused(layer(R"("type": "leaky_relu", "negative_slope": 1, "slope": 1)"), "\"slope\"");
  check_refused(layer(R"("type": "erf", "negative_slope": 1)"), "\"negative_slope\"");
  check_refused(layer(R"("type": "gelu")"), "relu, leaky_relu, erf, ");
}

TEST_CASE("a network is loaded from a file, and a preset where no such file exists") {
  const std::filesystem::path folder =
      std::filesystem::temp_directory_path() / "gramtile_network_json_test";
  std::filesystem::create_directories(folder);
  const std::string path = folder / "net.json";
  std::ofstream(path) << R"({"name": "from a file", "layers": []})";
  CHECK(load_network(path).name == "from a file");
  CHECK(load_network("resnet32-gp").name == "resnet32-gp");
  std::ofstream(path) << std::string(kMaxNetworkBytes + 10, ' ');
  CHECK_THROWS_AS(load_network(path), NetworkError);
  CHECK_THROWS_AS(load_network(folder), IoError);
  std::filesystem::remove_all(folder);
  try {
    load_network("resnet-gp");
    FAIL("accepted");
  } catch (const NetworkError& error) {
    const std::string message = error.what();
    CHECK(message.find("resnet-gp: no such file") == 0);
    CHECK(message.find("convnet-gp, residual-cnn-gp, resnet32-gp, resnet32-gp-cifar10") !=
          std::string::npos);
  }
}

TEST_CASE("an error of lower() can be given the file it is about") {
  const NetworkError error = in_file("net.json", NetworkError("layers[0]", "is wrong"));
  CHECK(std::string(error.what()) == "net.json: layers[0]: is wrong");
  CHECK(error.where == "net.json: layers[0]");
  CHECK(std::string(in_file("net.json", NetworkError("", "is wrong")).what()) ==
        "net.json: is wrong");
  CHECK(std::string(in_file("", NetworkError("layers", "is wrong")).what()) == "layers: is wrong");
}

}  // namespace gramtile::network_json_test
