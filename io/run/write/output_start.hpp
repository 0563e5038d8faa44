// What every command that writes an output does before it makes or replaces a file: names, what is
// there already, the journal that is locked.
#pragma once

#include <cerrno>
#include <initializer_list>
#include <optional>
#include <string>

#include "engine/core/errors.hpp"
#include "io/files/file.hpp"
#include "io/run/write/output_lock.hpp"
#include "io/run/write/run_paths.hpp"

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
void refuse_irregular(FileSystem& system, const std::string& path);

/// Throws kCannotCreate when there is an output already, of a start that may not replace it.
void refuse_existing_output(FileSystem& system, const RunPaths& paths);

/// Throws kUnfinishedRun: `path` is of a run that this start neither continues nor replaces.
[[noreturn]] void refuse_unfinished(const std::string& path);

/// Opens a file that is there and locks it. Empty when it does not exist, or was renamed or removed
/// between the two calls; the caller looks again. Throws kLocked when another process holds it.
std::optional<File> open_locked(FileSystem& system, OutputLock& lock, const std::string& path);

/// OUT.journal.new, empty and locked. What an earlier start left, or what anybody laid there, goes:
/// only files made here and now are written to. The lock is held while a file goes that another
/// start may be about to lock.
File make_new_journal(FileSystem& system, OutputLock& lock, const RunPaths& paths);

/// The same where a run begins. An old run, whose journal the caller holds (`replaces`), ends here:
/// its journal goes first, so that it can never vouch for new data.
File begin_journal(FileSystem& system, OutputLock& lock, const RunPaths& paths, bool replaces);

/// A file of a run that is open, and the name it should have.
struct NamedFile {
  const std::string& path;
  const File& file;
};

/// Throws when a name no longer leads to its file, or OUT.lock is gone: somebody removed or
/// replaced them, and what is written now would reach nobody.
void check_names(FileSystem& system, const RunPaths& paths, std::initializer_list<NamedFile> files,
                 const OutputLock& lock);

}  // namespace gramtile
