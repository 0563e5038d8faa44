#include "apps/common/machine.hpp"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <latch>
#include <sstream>
#include <thread>
#include <vector>

namespace gramtile::apps {
namespace {

// The words of a small file's first line; none when it is not there.
std::vector<std::string> words_of(const std::string& path) {
  std::ifstream file(path);
  std::string line, word;
  std::getline(file, line);
  std::istringstream text(line);
  std::vector<std::string> words;
  while (text >> word) words.push_back(word);
  return words;
}

// A number ≥ 0; nothing for "max" and −1, which mean no limit.
std::optional<double> number(const std::string& word) {
  std::istringstream text(word);
  double value = 0;
  if (!(text >> value) || value < 0) return std::nullopt;
  return value;
}

template <typename T>
void tighten(std::optional<T>& limit, std::optional<T> other) {
  if (other) limit = limit ? std::min(*limit, *other) : *other;
}

void add_cpus(const std::vector<std::string>& quota_and_period, MachineLimits& limits) {
  if (quota_and_period.size() != 2) return;
  const auto quota = number(quota_and_period[0]), period = number(quota_and_period[1]);
  if (quota && period && *quota > 0 && *period > 0)
    tighten(limits.cpus, std::optional(*quota / *period));
}

void add_memory(const std::vector<std::string>& limit, MachineLimits& limits) {
  constexpr double kUnlimited = 9e18;  // version 1 says so by about 2⁶³
  if (limit.size() != 1) return;
  const auto bytes = number(limit[0]);
  if (bytes && *bytes < kUnlimited)
    tighten(limits.memory_bytes, std::optional(static_cast<std::uint64_t>(*bytes)));
}

void add_group(const std::string& folder, MachineLimits& limits) {
  add_cpus(words_of(folder + "/cpu.max"), limits);
  add_memory(words_of(folder + "/memory.max"), limits);
  std::vector<std::string> quota = words_of(folder + "/cpu.cfs_quota_us");
  const std::vector<std::string> period = words_of(folder + "/cpu.cfs_period_us");
  quota.insert(quota.end(), period.begin(), period.end());
  add_cpus(quota, limits);
  add_memory(words_of(folder + "/memory.limit_in_bytes"), limits);
}

// The group and all around it, up to the root of its tree: in a container that root is the
// container's own group, and the path may be one of the host's.
void add_groups(const std::string& tree, std::string path, MachineLimits& limits) {
  for (;;) {
    add_group(tree + path, limits);
    if (path.empty()) return;
    const auto slash = path.rfind('/');
    path.erase(slash == path.npos ? 0 : slash);
  }
}

}  // namespace

// A line is "0::/path" of version 2, or "4:cpu,cpuacct:/path" of version 1.
MachineLimits control_group_limits(const std::string& root) {
  const std::string trees = root + "/sys/fs/cgroup";
  MachineLimits limits;
  std::ifstream groups(root + "/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const auto first = line.find(':');
    const auto second = line.find(':', first == line.npos ? first : first + 1);
    if (second == line.npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1) == "/" ? "" : line.substr(second + 1);
    if (path.find("..") != path.npos) continue;  // outside of what is seen here
    if (controllers.empty()) {
      add_groups(trees, path, limits);
      add_groups(trees + "/unified", path, limits);
    } else if (controllers.find("cpu") != controllers.npos ||
               controllers.find("memory") != controllers.npos) {
      add_groups(trees + "/" + controllers, path, limits);
    }
  }
  return limits;
}

int usable_threads() {
  int threads = static_cast<int>(std::max(1u, std::thread::hardware_concurrency()));
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) threads = std::max(1, CPU_COUNT(&set));
  const auto cpus = control_group_limits().cpus;
  if (cpus)
    threads = static_cast<int>(std::clamp(std::ceil(*cpus), 1.0, static_cast<double>(threads)));
  return threads;
}

std::size_t default_memory_bytes() {
  std::uint64_t available = ~std::uint64_t{0};
  const long pages = sysconf(_SC_PHYS_PAGES), page_bytes = sysconf(_SC_PAGESIZE);
  if (pages > 0 && page_bytes > 0)
    available = static_cast<std::uint64_t>(pages) * static_cast<std::uint64_t>(page_bytes);
  if (const auto limit = control_group_limits().memory_bytes)
    available = std::min(available, *limit);
  return static_cast<std::size_t>(std::min(std::uint64_t{2} << 30, available / 4 * 3));
}

void check_threads(int count) {
  std::latch all_tried(1);
  std::vector<std::thread> threads;
  const auto end = [&] {
    all_tried.count_down();
    for (std::thread& thread : threads) thread.join();
  };
  try {
    for (int i = 0; i < count; ++i) threads.emplace_back([&] { all_tried.wait(); });
  } catch (...) {
    end();
    throw;
  }
  end();
}

}  // namespace gramtile::apps
