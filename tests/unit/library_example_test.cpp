// The worked example of docs/library.md: the page quotes docs/examples/library.cpp, which is
// compiled into this test and run.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <fstream>
#include <sstream>
#include <string>

#include "docs/examples/library.cpp"
#include "docs/examples/solve.cpp"
#include "docs/examples/views.cpp"
#include "tests/support/lane_runs.hpp"

namespace gramtile::library_example_test {
namespace {

std::string contents(const std::string& path) {
  std::ifstream file(std::string(GRAMTILE_TESTS_DIR) + "/../" + path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

Images example_images(std::uint64_t seed, std::size_t count) {
  const test::Images images = test::random_images(seed, {.channels = 1, .height = 8, .width = 8},
                                                  static_cast<Index>(count));
  Images array(std::array<std::size_t, 4>{count, 1, 8, 8});
  std::copy(images.pixels.begin(), images.pixels.end(), array.data());
  return array;
}

TEST_CASE("docs/library.md quotes the examples to the letter") {
  const std::string page = contents("docs/library.md");
  for (const char* const example :
       {"docs/examples/library.cpp", "docs/examples/views.cpp", "docs/examples/solve.cpp"}) {
    const std::string code = contents(example);
    REQUIRE(!code.empty());
    CHECK(page.find("```cpp\n" + code + "```\n") != std::string::npos);
  }
}

// Of a training image among the test images, with hardly any jitter: K̃⁻¹·k is a unit vector but for
// jitter/λ. The least eigenvalue of 5 random images' kernel is above 1e-3: off by less than 1e-6.
TEST_CASE("the example's posterior knows the training images, and is unsure of others") {
  const Images train = example_images(4, 5), other = example_images(5, 3);
  const Program program = lower(network_with(0.5, 0.1), image_shape(train));
  const std::vector<double> y{1, -1, 0.5, 2, 0};
  const Posterior known = predict(program, train, y, train, 1e-9);
  for (std::size_t i = 0; i < y.size(); ++i) {
    CHECK(std::abs(known.mean[i] - y[i]) < 1e-5);
    CHECK(std::abs(known.variance[i]) < 1e-5);
  }
  const Posterior unknown = predict(program, train, y, other, 1e-9);
  for (const double variance : unknown.variance) CHECK(variance > 1e-4);
  CHECK(predict(program, train, y, other, 1e-3).log_evidence != unknown.log_evidence);
}

TEST_CASE("the example's loss falls at every step") {
  const std::size_t n = 6;
  Matrix labels = xt::zeros<double>({n, n});
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) labels(i, j) = i % 2 == j % 2 ? 1.0 : 0.5;
  }
  const std::vector<double> losses = fit(example_images(1, n), labels, 8);
  for (std::size_t step = 1; step < losses.size(); ++step) {
    CAPTURE(step);
    CHECK(losses[step] < losses[step - 1]);
  }
}

TEST_CASE("the example's left halves are those") {
  constexpr std::size_t kNum = 3;
  xt::xtensor<std::uint8_t, 4> pictures(std::array<std::size_t, 4>{kNum, 8, 16, 2});
  xt::xtensor<std::uint8_t, 4> halves(std::array<std::size_t, 4>{kNum, 2, 8, 8});
  for (std::size_t i = 0; i < pictures.size(); ++i)
    pictures.data()[i] = static_cast<std::uint8_t>(i * 37 % 251);
  for (std::size_t n = 0; n < kNum; ++n)
    for (std::size_t i = 0; i < 128; ++i)
      halves(n, i / 64, i / 8 % 8, i % 8) = pictures(n, i / 8 % 8, i % 8, i / 64);
  const Network network = network_with(0.5, 0.1);
  const auto expected = kernel_matrix<float>(lower(network, image_shape(halves)), halves);
  CHECK(kernel_of_left_halves(network, pictures.data(), kNum,
                              {.channels = 2, .height = 8, .width = 16}) ==
        std::vector<float>(expected.begin(), expected.end()));
}

TEST_CASE("the example's sensitivity is the slope of K") {
  const Images test = example_images(2, 2), train = example_images(3, 3);
  const Matrix slope = sensitivity(test, train);
  const auto kernel_at = [&](double w) {
    return kernel_matrix<double>(lower(network_with(w, 0.1), image_shape(train)), test, train);
  };
  // K is smooth in w: D(h) is off by K‴h²/6, here about 1e-5 of K; float32 adds 1e-6 of it.
  const double h = 1e-3;
  const Matrix above = kernel_at(0.5 + h), below = kernel_at(0.5 - h);
  for (std::size_t i = 0; i < 2; ++i) {
    for (std::size_t j = 0; j < 3; ++j) {
      CHECK(slope(i, j) == doctest::Approx((above(i, j) - below(i, j)) / (2 * h)).epsilon(1e-4));
    }
  }
}

}  // namespace
}  // namespace gramtile::library_example_test
