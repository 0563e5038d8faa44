#include "engine/core/array_source.hpp"

#include <doctest/doctest.h>

#include <limits>
#include <string>
#include <vector>

#include "engine/core/errors.hpp"

namespace gramtile::array_source_test {
namespace {

constexpr ImageShape kShape{.channels = 1, .height = 1, .width = 2};

TEST_CASE("an array source gives back the images it was made of") {
  ArraySource source(kShape, {1, 2, 3, 4, 5, 6});
  CHECK(source.num_examples() == 3);
  std::vector<double> pixels(4);
  source.read({1, 3}, pixels);
  CHECK(pixels == std::vector<double>{3, 4, 5, 6});
}

TEST_CASE("a moved array source still owns its pixels") {
  ArraySource first(kShape, {1, 2});
  ArraySource second = std::move(first);
  std::vector<double> pixels(2);
  second.read({0, 1}, pixels);
  CHECK(pixels == std::vector<double>{1, 2});
}

TEST_CASE("an array view sees the caller's pixels without a copy") {
  std::vector<double> mine{1, 2};
  ArraySource source = ArraySource::view(kShape, mine);
  mine[1] = 7;
  std::vector<double> pixels(2);
  source.read({0, 1}, pixels);
  CHECK(pixels[1] == 7);
}

TEST_CASE("an array that is no whole number of images is refused") {
  CHECK_THROWS_AS(ArraySource(kShape, {1, 2, 3}), Error);
  CHECK_THROWS_AS(ArraySource(kShape, {}), Error);
  CHECK_THROWS_AS(ArraySource({1, 0, 2}, {1, 2}), Error);
}

TEST_CASE("an array with a pixel that is not finite is refused with the image's index") {
  const double nan = std::numeric_limits<double>::quiet_NaN();
  try {
    ArraySource source(kShape, {1, 2, 3, nan});
    FAIL("accepted");
  } catch (const DataError& error) {
    CHECK(std::string(error.what()).find("image 1 ") != std::string::npos);
  }
}

TEST_CASE("an array source refuses a range or a buffer that does not fit") {
  ArraySource source(kShape, {1, 2, 3, 4});
  std::vector<double> pixels(2);
  CHECK_THROWS_AS(source.read({2, 3}, pixels), Error);
  CHECK_THROWS_AS(source.read({-1, 0}, pixels), Error);
  CHECK_THROWS_AS(source.read({0, 2}, pixels), Error);
}

}  // namespace
}  // namespace gramtile::array_source_test
