// What a process may use of the machine, from control groups of both versions.
#include <doctest/doctest.h>
#include <sched.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "apps/common/machine.hpp"
#include "tests/support/run_fixture.hpp"

namespace gramtile::apps::commands_machine_test {
namespace {

using test::TemporaryFolder;

MachineLimits limits_with(const std::map<std::string, std::string>& files) {
  const TemporaryFolder root;
  for (const auto& [path, text] : files) {
    std::filesystem::create_directories(std::filesystem::path(root.file(path)).parent_path());
    std::ofstream(root.file(path)) << text << "\n";
  }
  return control_group_limits(root.path().string());
}

TEST_CASE("the tightest limit of a control group and those around it holds") {
  const MachineLimits limits =
      limits_with({{"proc/self/cgroup", "0::/slurm/job7/step0"},
                   {"sys/fs/cgroup/slurm/job7/step0/cpu.max", "max 100000"},
                   {"sys/fs/cgroup/slurm/job7/step0/memory.max", "max"},
                   {"sys/fs/cgroup/slurm/job7/cpu.max", "150000 100000"},
                   {"sys/fs/cgroup/slurm/job7/memory.max", "1073741824"},
                   {"sys/fs/cgroup/slurm/cpu.max", "800000 100000"},
                   {"sys/fs/cgroup/slurm/memory.max", "2147483648"}});
  CHECK(limits.cpus == 1.5);
  CHECK(limits.memory_bytes == std::uint64_t{1} << 30);
}

TEST_CASE("in a container the limits stand at the root of what it sees") {
  for (const char* const path : {"/", "/docker/0123abcd"}) {
    const MachineLimits limits = limits_with({{"proc/self/cgroup", std::string("0::") + path},
                                              {"sys/fs/cgroup/cpu.max", "50000 100000"},
                                              {"sys/fs/cgroup/memory.max", "536870912"}});
    CHECK(limits.cpus == 0.5);
    CHECK(limits.memory_bytes == std::uint64_t{512} << 20);
  }
}

TEST_CASE("limits of version 1 stand in a tree for each controller") {
  const MachineLimits limits =
      limits_with({{"proc/self/cgroup", "5:cpu,cpuacct:/job\n4:memory:/job\n1:name=systemd:/x"},
                   {"sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "400000"},
                   {"sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000"},
                   {"sys/fs/cgroup/memory/job/memory.limit_in_bytes", "4294967296"},
                   {"sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712"}});
  CHECK(limits.cpus == 4);
  CHECK(limits.memory_bytes == std::uint64_t{4} << 30);
}

TEST_CASE("no limit, and files that say nothing, limit nothing") {
  for (const std::map<std::string, std::string>& files :
       {std::map<std::string, std::string>{},
        {{"proc/self/cgroup", "0::/a"}},
        {{"proc/self/cgroup", "garbage"}, {"sys/fs/cgroup/cpu.max", "1 1"}},
        {{"proc/self/cgroup", "0::/../.."}, {"sys/fs/cgroup/memory.max", "1"}},
        {{"proc/self/cgroup", "0::/"}, {"sys/fs/cgroup/memory.max", ""}},
        {{"proc/self/cgroup", "0::/"}, {"sys/fs/cgroup/cpu.max", "0 0"}},
        {{"proc/self/cgroup", "3:cpu:/"},
         {"sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1"},
         {"sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000"}}}) {
    const MachineLimits limits = limits_with(files);
    CHECK_FALSE(limits.cpus.has_value());
    CHECK_FALSE(limits.memory_bytes.has_value());
  }
}

TEST_CASE("as many threads are used as there are processors in the affinity") {
  cpu_set_t before, one;
  REQUIRE(sched_getaffinity(0, sizeof before, &before) == 0);
  CHECK(usable_threads() >= 1);
  CHECK(usable_threads() <= CPU_COUNT(&before));
  CPU_ZERO(&one);
  for (std::size_t i = 0; i < CPU_SETSIZE && CPU_COUNT(&one) == 0; ++i)
    if (CPU_ISSET(i, &before)) CPU_SET(i, &one);
  REQUIRE(sched_setaffinity(0, sizeof one, &one) == 0);
  CHECK(usable_threads() == 1);
  REQUIRE(sched_setaffinity(0, sizeof before, &before) == 0);
}

TEST_CASE("the default of --memory is never more than there is") {
  CHECK(default_memory_bytes() > 0);
  CHECK(default_memory_bytes() <= std::size_t{2} << 30);
}

}  // namespace
}  // namespace gramtile::apps::commands_machine_test
