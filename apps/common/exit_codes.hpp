// The exit codes of every command, in one table.
#pragma once

#include <string>

#include "engine/core/errors.hpp"

namespace gramtile::apps {

inline constexpr int kExitDone = 0;
inline constexpr int kExitUsage = 2;
inline constexpr int kExitPartMissing = 13;
inline constexpr int kExitBug = 70;

/// Exit code for an error of `kind`; kInterrupted becomes 130 (SIGINT).
int exit_code(ErrorKind kind);

/// The table as `--help` prints it, one code per line.
std::string exit_code_help();

}  // namespace gramtile::apps
