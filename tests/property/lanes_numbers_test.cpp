// Images at the edges of what numbers can be: black, constant, duplicated, opposite, denormal,
// huge; and sets of awkward sizes.
#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <string>

#include "engine/core/errors.hpp"
#include "engine/reference/reference.hpp"
#include "tests/support/lane_runs.hpp"
#include "tests/support/rounding_bound.hpp"
#include "tests/support/short_form.hpp"

namespace gramtile::test::lanes_numbers_test {
namespace {

constexpr ImageShape kShape{.channels = 1, .height = 4, .width = 4};

constexpr const char* kWithoutBias = R"({"layers": [
  {"type": "conv2d", "kernel_size": 3, "var_weight": 2}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 4, "padding": 0, "var_weight": 3}]})";

// Variances of black images whose roots are exact: 1/4, behind the relu 1/8, at the end 2/8 + 1/2.
constexpr const char* kWithBias = R"({"layers": [
  {"type": "conv2d", "kernel_size": 3, "var_bias": 0.25}, {"type": "relu"},
  {"type": "conv2d", "kernel_size": 4, "padding": 0, "var_weight": 2, "var_bias": 0.5}]})";

void append_constant(Images& images, double value) {
  images.append(std::vector<double>(static_cast<std::size_t>(images.shape.num_values()), value));
}

Images constant_images(std::initializer_list<double> values) {
  Images images{kShape, {}};
  for (const double value : values) append_constant(images, value);
  return images;
}

// Every entry of K(images, images) as two data sets, against the reference.
void check_against_reference(const Program& program, const Images& images, DataType type) {
  const auto kernel = lane_kernel(program, images, images, {type});
  std::size_t n = 0;
  for (Index i = 0; i < images.size(); ++i) {
    for (Index j = 0; j < images.size(); ++j, ++n) {
      const double scale = std::sqrt(reference::kernel_diagonal(program, images[i])) *
                           std::sqrt(reference::kernel_diagonal(program, images[j]));
      const double bound = kernel_bound(program, type, images[i], images[j]);
      CAPTURE(i);
      CAPTURE(j);
      CHECK(std::abs(kernel[n] - reference::kernel(program, images[i], images[j])) <=
            bound * scale);
    }
  }
}

std::string message_of(const Program& program, const Images& images, DataType type) {
  try {
    lane_kernel(program, images, {type});
  } catch (const Error& error) {
    CHECK(error.kind() == ErrorKind::kOther);
    return error.what();
  }
  return "";
}

bool mentions(const std::string& message, const std::string& words) {
  return message.find(words) != std::string::npos;
}

TEST_CASE("without biases a black image has kernel exactly 0 with every image") {
  const Program program = program_of(kWithoutBias, kShape);
  Images images = random_images(1, kShape, 10);
  append_constant(images, 0);
  for (const DataType type : kDataTypes) {
    const auto symmetric = lane_kernel(program, images, {type});
    const auto cross = lane_kernel(program, images, images, {type});
    for (std::size_t j = 0; j < 11; ++j) {
      CHECK(symmetric[110 + j] == 0);
      CHECK(cross[110 + j] == 0);
      CHECK(cross[j * 11 + 10] == 0);
    }
  }
}

TEST_CASE("with biases black images have exactly the kernel that the biases alone make") {
  const Program program = program_of(kWithBias, kShape);
  const Images images = constant_images({0, 0, 0});
  for (const DataType type : kDataTypes) {
    for (const double entry : lane_kernel(program, images, {type})) CHECK(entry == 0.75);
    for (const double entry : lane_kernel(program, images, images, {type})) CHECK(entry == 0.75);
  }
}

TEST_CASE("black, constant, duplicated and opposite images agree with the reference") {
  Images images = constant_images({0, 0.5, 1, 1, -1});
  const Images random = random_images(2, kShape, 2);
  for (const double factor : {1.0, 1.0, -1.0}) {
    for (Index i = 0; i < random.size(); ++i) {
      std::vector<double> image(random[i].begin(), random[i].end());
      for (double& pixel : image) pixel *= factor;
      images.append(image);
    }
  }
  for (const char* network : {kWithoutBias, kWithBias}) {
    for (const DataType type : kDataTypes) {
      CAPTURE(name_of(type));
      check_against_reference(program_of(network, kShape), images, type);
    }
  }
}

TEST_CASE("without biases opposite images are uncorrelated behind the first relu") {
  const Program program = program_of(kWithoutBias, kShape);
  const Images images = random_images(3, kShape, 4);
  Images opposite = images;
  for (double& pixel : opposite.pixels) pixel = -pixel;
  for (const DataType type : kDataTypes) {
    const auto kernel = lane_kernel(program, images, opposite, {type});
    for (Index i = 0; i < 4; ++i) {
      const double variance = reference::kernel_diagonal(program, images[i]);
      CHECK(std::abs(kernel[static_cast<std::size_t>(5 * i)]) <=
            kernel_bound(program, type) * variance);
    }
  }
}

TEST_CASE("beside a bias pixels too small for their squares are as good as black") {
  const Images tiny = constant_images({1e-20, -1e-20, 1e-23, 1e-40, 4e-45, 1e-160, 1e-310, 5e-324});
  const Program program = program_of(kWithBias, kShape);
  for (const DataType type : kDataTypes) {
    CAPTURE(name_of(type));
    for (const double entry : lane_kernel(program, tiny, {type})) CHECK(entry == 0.75);
  }
}

TEST_CASE("without a bias faint and glaring images count in full as long as the type holds K") {
  // K(αx, βy) = αβ K(x, y), also between images of very different sizes.
  const Images random = random_images(8, kShape, 3);
  const Program program = program_of(kWithoutBias, kShape);
  const auto plain = lane_kernel(program, random, {DataType::kFloat64});
  for (const DataType type : kDataTypes) {
    CAPTURE(name_of(type));
    const double smallest = type == DataType::kFloat32 ? 0x1p-58 : 0x1p-500;
    std::vector<double> sizes;
    Images images = {kShape, {}};
    for (const double size : {1.0, smallest, 1 / smallest, std::sqrt(smallest)}) {
      for (Index i = 0; i < random.size(); ++i) {
        std::vector<double> image(random[i].begin(), random[i].end());
        for (double& pixel : image) pixel *= size;
        images.append(image);
        sizes.push_back(size);
      }
    }
    const auto kernel = lane_kernel(program, images, {type});
    const auto n = static_cast<std::size_t>(images.size());
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < n; ++j) {
        const double scale = sizes[i] * sizes[j];
        const double magnitude = std::sqrt(plain[i % 3 * 4] * plain[j % 3 * 4]);
        CHECK(std::abs(kernel[i * n + j] / scale - plain[i % 3 * 3 + j % 3]) <=
              kernel_bound(program, type) * magnitude);
      }
    }
  }
}

TEST_CASE("K(x, x) that is too small for the type is refused with the image and what would help") {
  Images images = random_images(9, kShape, 3);
  append_constant(images, 1e-25);
  const Program program = program_of(kWithoutBias, kShape);
  const std::string message = message_of(program, images, DataType::kFloat32);
  CHECK(mentions(message, "image 3"));
  CHECK(mentions(message, "float32"));
  CHECK(mentions(message, "--dtype float64"));
  check_against_reference(program, images, DataType::kFloat64);
  append_constant(images, 1e-200);
  const std::string neither = message_of(program, images, DataType::kFloat64);
  CHECK(mentions(neither, "image 4"));
  CHECK(mentions(neither, "no --dtype"));
}

TEST_CASE("variances that are lost and count are refused with the image and what would help") {
  // The bias comes behind the relu and is as small as what the faint image gives.
  const Program program = program_of(R"({"layers": [
    {"type": "conv2d", "kernel_size": 3}, {"type": "relu"},
    {"type": "conv2d", "kernel_size": 4, "padding": 0, "var_bias": 1e-37}]})",
                                     kShape);
  Images images = random_images(10, kShape, 2);
  append_constant(images, 1e-19);
  const std::string message = message_of(program, images, DataType::kFloat32);
  CHECK(mentions(message, "image 2"));
  CHECK(mentions(message, "--dtype float64"));
  check_against_reference(program, images, DataType::kFloat64);
}

TEST_CASE("pixels of 1e30 overflow float32, which is named with the image and the advice") {
  Images images = random_images(4, kShape, 12);
  append_constant(images, 1e30);
  for (const char* network : {kWithoutBias, kWithBias}) {
    const Program program = program_of(network, kShape);
    const std::string message = message_of(program, images, DataType::kFloat32);
    CHECK(mentions(message, "image 12"));
    CHECK(mentions(message, "float32"));
    CHECK(mentions(message, "--dtype float64"));
    CHECK(mentions(message, "scale"));
    check_against_reference(program, images, DataType::kFloat64);
  }
}

TEST_CASE("pixels whose squares overflow float64 are named in every type") {
  Images images = random_images(5, kShape, 3);
  append_constant(images, 1e200);
  for (const DataType type : kDataTypes) {
    const std::string message = message_of(program_of(kWithBias, kShape), images, type);
    CHECK(mentions(message, "image 3"));
    CHECK(mentions(message, "scale"));
  }
}

TEST_CASE("maps beyond a type's range between the layers do no harm where K is inside it") {
  for (const char* weights : {"1e40 1e-40", "1e-40 1e40", "1e150 1e-150", "1e-150 1e150"}) {
    CAPTURE(weights);
    const std::string both(weights);
    const auto space = both.find(' ');
    const Program program = program_of(R"({"layers": [
      {"type": "conv2d", "kernel_size": 1, "var_weight": )" +
                                           both.substr(0, space) +
                                           R"(}, {"type": "relu"},
      {"type": "conv2d", "kernel_size": 4, "padding": 0, "var_weight": )" +
                                           both.substr(space + 1) + R"(, "var_bias": 0.1}]})",
                                       kShape);
    for (const DataType type : kDataTypes) {
      check_against_reference(program, constant_images({1, 2, -0.5}), type);
    }
  }
}

TEST_CASE("an overflow between the relus is named by its entry") {
  // No relu sees the map of 1e40, so no variance is refused; K itself would be finite.
  const Program program = program_of(R"({"layers": [
    {"type": "conv2d", "kernel_size": 1, "var_bias": 0.1},
    {"type": "conv2d", "kernel_size": 4, "padding": 0, "var_weight": 1e-6}]})",
                                     kShape);
  const Images images = constant_images({1e20, 2e20});
  const std::string message = message_of(program, images, DataType::kFloat32);
  CHECK(mentions(message, "K[0, 1]"));
  CHECK(mentions(message, "float32"));
  check_against_reference(program, images, DataType::kFloat64);
}

TEST_CASE("networks of 1 to 700 layers whose variances shrink or grow keep their digits") {
  // Against the reference in double, which holds all of these. var_weight 2 keeps a variance as it
  // is; depth and weight together stay inside float's range at the end.
  for (const double weight : {2.0, 1.7, 2.3, 1.0, 4.0}) {
    for (const Index depth : {1, 2, 31, 62, 100, 200, 400, 700}) {
      if (is_short_form() && depth > 62 && depth != 400) continue;
      const double size = std::abs(static_cast<double>(depth) * std::log2(weight / 2));
      if (size > 115) continue;
      CAPTURE(weight);
      CAPTURE(depth);
      const Program program =
          program_of(R"({"layers": [{"type": "repeat", "times": )" + std::to_string(depth) +
                         R"(, "layers": [{"type": "conv2d", "kernel_size": 1, "var_weight": )" +
                         std::to_string(weight) + R"(}, {"type": "relu"}]},
             {"type": "conv2d", "kernel_size": 4, "padding": 0}]})",
                     kShape);
      const Images images = random_images(11, kShape, 5);
      for (const DataType type : kDataTypes) check_against_reference(program, images, type);
    }
  }
}

// Three layers whose variances are multiplied by 1/scale, scale and 1/scale, an erf in the middle.
Program around_an_erf(const std::string& before, const std::string& in_front,
                      const std::string& behind) {
  return program_of(R"({"layers": [{"type": "conv2d", "kernel_size": 3, "var_weight": )" + before +
                        R"(}, {"type": "leaky_relu", "negative_slope": -0.5},
      {"type": "conv2d", "kernel_size": 2, "var_weight": )" +
                        in_front + R"(}, {"type": "erf"},
      {"type": "conv2d", "kernel_size": 3, "var_weight": 1e-30}, {"type": "relu"},
      {"type": "conv2d", "kernel_size": 4, "padding": 0, "var_weight": )" +
                        behind + "}]}",
                    kShape);
}

TEST_CASE("an erf is given variances as they are, whatever powers of two stand around it") {
  Images images = random_images(8, kShape, 4);
  append_constant(images, 0);
  append_constant(images, 1);
  append_constant(images, -1);
  for (const auto& [before, in_front] : {std::pair{"2", "1.5"},
                                         {"1e-30", "1e30"},
                                         {"1e30", "1e-30"},
                                         {"1e-200", "1e201"},
                                         {"1e-6", "1e-6"},
                                         {"1e3", "1e3"}}) {
    const Program program = around_an_erf(before, in_front, "1e30");
    for (const DataType type : kDataTypes) {
      CAPTURE(before);
      CAPTURE(name_of(type));
      check_against_reference(program, images, type);
    }
  }
}

TEST_CASE("variances in front of an erf that a type cannot hold are refused by name") {
  const Images images = random_images(9, kShape, 3);
  const Program faint = around_an_erf("1e-20", "1e-20", "1e75");
  CHECK(mentions(message_of(faint, images, DataType::kFloat32), "too small for float32"));
  check_against_reference(faint, images, DataType::kFloat64);
  const Program glaring = around_an_erf("1e20", "1e20", "1e30");
  CHECK(mentions(message_of(glaring, images, DataType::kFloat32), "overflows float32"));
  const Program beyond = around_an_erf("1e200", "1e200", "1e30");
  for (const DataType type : kDataTypes) {
    CHECK(mentions(message_of(beyond, images, type), "no --dtype holds it"));
  }
}

TEST_CASE("steep slopes make no number that cannot be held") {
  const Images images = random_images(10, kShape, 3);
  for (const std::string slope : {"1e30", "-1e100", "1e-100"}) {
    const Program program =
        program_of(R"({"layers": [{"type": "leaky_relu", "negative_slope": )" + slope +
                       R"(}, {"type": "conv2d", "kernel_size": 4, "padding": 0, "var_weight": )" +
                       (slope == "1e30"     ? "1e-60"
                        : slope == "-1e100" ? "1e-200"
                                            : "1") +
                       "}]}",
                   kShape);
    for (const DataType type : kDataTypes) check_against_reference(program, images, type);
  }
}

TEST_CASE("K of fewer images is the leading block: 1, and one less and more than tiles and packs") {
  const Program program = program_of(kWithBias, kShape);
  const Images images = random_images(6, kShape, 34);
  for (const DataType type : kDataTypes) {
    const auto all = lane_kernel(program, images, {type, 1, 34});
    for (const Index n : {1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 32, 33}) {
      CAPTURE(n);
      std::vector<Index> first;
      for (Index i = 0; i < n; ++i) first.push_back(i);
      const Images some = images.reordered(first);
      for (const Index tile_size : {8, 16}) {
        const auto kernel = lane_kernel(program, some, {type, 2, tile_size});
        for (Index i = 0; i < n; ++i) {
          for (Index j = 0; j < n; ++j) {
            REQUIRE(kernel[static_cast<std::size_t>(i * n + j)] ==
                    all[static_cast<std::size_t>(i * 34 + j)]);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace gramtile::test::lanes_numbers_test
