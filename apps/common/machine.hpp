// What this process may use of the machine: a batch system or a container gives a part of it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

namespace gramtile::apps {

struct MachineLimits {
  std::optional<double> cpus;                 ///< quota of a control group; 1.5: one and a half
  std::optional<std::uint64_t> memory_bytes;  ///< limit of a control group
};

/// The tightest limits of this process's control groups and those around them, of both versions.
/// Tests bring a `root` of their own, in place of "/".
MachineLimits control_group_limits(const std::string& root = "");

/// Processors that this process may run on (affinity), but no more than its quota; at least 1.
int usable_threads();

/// Default of --memory: 2 GiB, or three quarters of what there is of memory when that is less.
std::size_t default_memory_bytes();

/// Throws std::system_error unless `count` more threads can be had, all at once. Before the work:
/// a library that is refused one in the middle may end the process.
void check_threads(int count);

}  // namespace gramtile::apps
