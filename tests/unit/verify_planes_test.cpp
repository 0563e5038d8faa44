// A plane that nobody knows: shares, merger and verifier go by the list in the run's description,
// and need no line for a new kind. (run_shards_test.cpp merges the same run for other numbers of
// shares.)
#include <doctest/doctest.h>

#include <algorithm>

#include "apps/common/verify.hpp"
#include "io/hdf5/hdf5.hpp"
#include "io/run/read/run_reader.hpp"
#include "io/run/write/merge_shards.hpp"
#include "tests/support/run_fixture.hpp"

namespace gramtile::test::verify_planes_test {

namespace {

/// The checks that failed. The made-up numbers are no kernel, so what is asked of K alone is left
/// out; all others have to have taken place.
std::vector<std::string> failed_checks(const std::string& path, bool whole) {
  std::vector<std::string> failed, made;
  for (const apps::Finding& finding : apps::check_file(RunReader(path), [](const Tile&) {})) {
    made.push_back(finding.check);
    const bool of_kernel = finding.check == "diagonal" || finding.check == "bound";
    if (!finding.passed && !of_kernel) failed.push_back(finding.check);
  }
  for (const char* check : {"metadata", "complete", "hashes", "symmetry", "finite"})
    CHECK(std::ranges::count(made, check) == 1);
  CHECK(std::ranges::count(made, "moment") == (whole ? 1 : 0));
  return failed;
}

}  // namespace

TEST_CASE("merged shares of made-up planes verify, and a bit that changed in one does not") {
  const TemporaryFolder folder;
  const RunSpec spec = made_up_spec();
  std::vector<std::string> shares;
  for (Index i = 0; i < 3; ++i) {
    shares.push_back(folder.file("share" + std::to_string(i)));
    run(shares.back(), spec, for_shard(i, 3));
    CHECK(failed_checks(shares.back(), false).empty());
  }
  const std::string path = folder.file("K.h5");
  merge_shards(path, shares);
  CHECK(read_bytes(path) == expected_bytes(spec));
  CHECK(failed_checks(path, true).empty());

  const auto offset =
      static_cast<std::size_t>(hdf5::File(path).dataset("qKxtx").number_attribute("offset")->at(0));
  flip_byte(path, offset + 2);
  CHECK(failed_checks(path, true) == std::vector<std::string>{"hashes"});
}

}  // namespace gramtile::test::verify_planes_test
