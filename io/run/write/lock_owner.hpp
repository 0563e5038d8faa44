// Who holds a lock file: written into it, so that a message can name the holder and the next run
// can tell when it is gone.
#pragma once

#include <cstdint>
#include <string>

namespace gramtile {

struct LockOwner {
  std::string host;           ///< for people: names of machines are not unique
  std::string boot;           ///< identifies the running kernel; empty where it cannot be told
  std::string pid_namespace;  ///< processes are numbered anew in every container
  std::int64_t process = 0;   ///< 0: not known
  std::string started;        ///< of the process, in ticks since the boot: numbers are used again
};

LockOwner this_process();

/// "host = node7\nprocess = 4711\n…"
std::string to_text(const LockOwner& owner);
/// What can be read of it; a file that is not whole leaves fields empty.
LockOwner parse_lock_owner(const std::string& text);

/// True only when the process ran on this very kernel and runs no more. Of another machine nothing
/// can be known.
bool is_surely_gone(const LockOwner& owner);

/// "process 4711 on node7"
std::string describe(const LockOwner& owner);

}  // namespace gramtile
