// The example data set that data/make_example.py draws.
#include <doctest/doctest.h>

#include <cstdlib>
#include <set>
#include <string>

#include "io/data/dataset.hpp"
#include "io/run/spec/content_hash.hpp"
#include "tests/support/data_files.hpp"

namespace gramtile::data_example_test {
namespace {

TEST_CASE("the example data set is the same on every machine") {
  const test::DataFolder folder;
  const std::string command =
      "python3 '" GRAMTILE_TESTS_DIR "/../data/make_example.py' '" + folder.path() + "' >/dev/null";
  REQUIRE(std::system(command.c_str()) == 0);
  const SourceSpec source = parse_source_spec(folder.path());
  const auto train = open_dataset(source, DatasetRole::kTrain);
  const auto test = open_dataset(source, DatasetRole::kTest);
  CHECK(train->num_examples() == 500);
  CHECK(test->num_examples() == 100);
  CHECK(train->shape() == ImageShape{1, 28, 28});
  REQUIRE(train->labels());
  CHECK(std::set(train->labels()->begin(), train->labels()->end()).size() == 10);
  CHECK(read_contents(*train).hash == "16faa2d06b4802378261401001589320");
  CHECK(read_contents(*test).hash == "e44150b2a59abff3bcd7a64cb3556742");
}

}  // namespace
}  // namespace gramtile::data_example_test
