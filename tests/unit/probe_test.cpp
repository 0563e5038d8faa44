// The child that walks a file first, where it falls asleep. What it finds is tested from the
// command line (end_to_end/probe).
#include "io/hdf5/probe.hpp"

#include <doctest/doctest.h>
#include <pthread.h>
#include <unistd.h>

#include "engine/core/errors.hpp"
#include "io/hdf5/handle.hpp"
#include "tests/support/run_fixture.hpp"

namespace gramtile::test::probe_test {

namespace {

int children_to_fall_asleep = 0;

void count_children() { --children_to_fall_asleep; }

/// As one that waits for a lock which another thread of the parent held at the fork.
void fall_asleep() {
  while (children_to_fall_asleep >= 0) pause();
}

}  // namespace

TEST_CASE("a child that falls asleep is given up for another one") {
  const TemporaryFolder folder;
  const std::string path = folder.file("K.h5");
  run(path, kernel_spec(), {});
  REQUIRE(pthread_atfork(count_children, nullptr, fall_asleep) == 0);
  const auto lock = hdf5::library_lock();
  constexpr std::chrono::milliseconds kShort{300};
  children_to_fall_asleep = 1;
  CHECK(hdf5::probe(path, {kShort, 8 * kShort}) == "");
  CHECK(children_to_fall_asleep == -1);  // two children

  children_to_fall_asleep = 10;
  CHECK_THROWS_AS(hdf5::probe(path, {kShort, 2 * kShort}), IoError);
  CHECK(children_to_fall_asleep == 8);
  children_to_fall_asleep = -1;
}

}  // namespace gramtile::test::probe_test
