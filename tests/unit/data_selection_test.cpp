// Which images of a source are the examples: ranges, one after another.
#include <doctest/doctest.h>

#include <algorithm>
#include <random>
#include <vector>

#include "io/data/selection.hpp"

namespace gramtile::data_selection_test {
namespace {

TEST_CASE("ranges that continue one another become one, others stay apart") {
  Selection selection;
  for (const Index image : {4, 5, 6, 2, 3, 3}) selection.append({image, image + 1});
  CHECK(selection.runs() == std::vector<Range>{{4, 7}, {2, 4}, {3, 4}});
  CHECK(!selection.is_contiguous());
  CHECK(selection.bounds() == Range{2, 7});
  selection = Selection(std::vector<Range>{{3, 5}, {5, 9}});
  CHECK(selection.is_contiguous());
  CHECK(selection.bounds() == Range{3, 9});
}

TEST_CASE("the parts of any examples are their images, each once, in the order of the file") {
  std::mt19937 random(3);
  const auto below = [&](Index limit) {
    return std::uniform_int_distribution<Index>(0, limit - 1)(random);
  };
  for (int round = 0; round < 200; ++round) {
    Selection selection;
    std::vector<std::int64_t> expected;
    for (Index run = 0; run <= below(6); ++run) {
      const Index start = below(20), stop = start + 1 + below(5);
      selection.append({start, stop});
      for (Index image = start; image < stop; ++image) expected.push_back(image);
    }
    REQUIRE(selection.images() == expected);
    REQUIRE(selection.size() == static_cast<Index>(expected.size()));
    const Index start = below(selection.size());
    const Range examples{start, start + 1 + below(selection.size() - start)};
    std::vector<std::int64_t> found(static_cast<std::size_t>(examples.size()), -1);
    Index previous = -1;
    for (const Selection::Part& part : selection.parts(examples)) {
      CHECK(part.images.start >= previous);
      previous = part.images.start;
      for (Index i = 0; i < part.images.size(); ++i) {
        auto& place = found[static_cast<std::size_t>(part.first_example + i)];
        CHECK(place == -1);
        place = part.images.start + i;
      }
    }
    CHECK(std::equal(found.begin(), found.end(), expected.begin() + examples.start));
    CHECK(selection.image(examples.start) == expected[static_cast<std::size_t>(examples.start)]);
  }
}

}  // namespace
}  // namespace gramtile::data_selection_test
