// What every command that writes an output looks at before it makes or replaces a file.
#pragma once

#include <cerrno>
#include <string>

#include "engine/core/errors.hpp"
#include "io/run/file.hpp"

namespace gramtile {

/// `action` on a file of the output. A folder that is missing or may not be written to, and a name
/// that belongs to something else, are not I/O errors but a wrong --out.
template <typename Action>
auto explained(const Action& action) {
  try {
    return action();
  } catch (const IoError& error) {
    switch (error.error_number) {
      case ENOENT:
      case ENOTDIR:
      case EACCES:
      case EPERM:
      case EROFS:
      case EISDIR:
      case ENAMETOOLONG:
      case ELOOP:
        throw Error(
            ErrorKind::kCannotCreate,
            std::string(error.what()) + "; choose an --out in a folder that can be written");
      default:
        throw;
    }
  }
}

/// Nothing but a regular file may bear a name of the output, or be replaced by it.
inline void refuse_irregular(FileSystem& system, const std::string& path) {
  const auto there = status_of(system, path);
  if (there && !there->is_regular)
    throw Error(ErrorKind::kCannotCreate, path +
                                              ": is a folder, a link, a pipe or a device and no "
                                              "regular file; choose another --out");
}

[[noreturn]] inline void refuse_faster(const std::string& path) {
  throw Error(ErrorKind::kLocked, path + ": another process has just started here");
}

}  // namespace gramtile
