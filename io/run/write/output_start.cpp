#include "io/run/write/output_start.hpp"

namespace gramtile {

void refuse_irregular(FileSystem& system, const std::string& path) {
  const auto there = status_of(system, path);
  if (there && !there->is_regular)
    throw Error(ErrorKind::kCannotCreate, path +
                                              ": is a folder, a link, a pipe or a device and no "
                                              "regular file; choose another --out");
}

namespace {

[[noreturn]] void refuse_faster(const std::string& path) {
  throw Error(ErrorKind::kLocked, path + ": another process has just started here");
}

}  // namespace

void refuse_existing_output(FileSystem& system, const RunPaths& paths) {
  if (file_exists(system, paths.out))
    throw Error(ErrorKind::kCannotCreate,
                paths.out + ": exists; choose another --out, or replace it with --overwrite");
}

void refuse_unfinished(const std::string& path) {
  throw Error(ErrorKind::kUnfinishedRun, path +
                                             ": an unfinished run is there; continue it with "
                                             "--resume, or start over with --overwrite");
}

std::optional<File> open_locked(FileSystem& system, OutputLock& lock, const std::string& path) {
  if (!file_exists(system, path)) return std::nullopt;
  refuse_irregular(system, path);
  File file = explained([&] { return File(system, path, OpenMode::kReadWrite); });
  lock.acquire(file);
  if (!leads_to(system, path, file)) return std::nullopt;
  return file;
}

File make_new_journal(FileSystem& system, OutputLock& lock, const RunPaths& paths) {
  const std::string& path = paths.new_journal;
  if (const auto there = status_of(system, path)) {
    std::optional<File> old;
    if (there->is_regular && !(old = open_locked(system, lock, path))) refuse_faster(path);
    explained([&] { remove_file(system, path); });
  }
  File file;
  try {
    file = explained([&] { return File(system, path, OpenMode::kCreateNew); });
  } catch (const IoError& error) {
    if (error.error_number == EEXIST) refuse_faster(path);
    throw;
  }
  lock.acquire(file);
  if (!leads_to(system, path, file)) refuse_faster(path);
  return file;
}

File begin_journal(FileSystem& system, OutputLock& lock, const RunPaths& paths, bool replaces) {
  File file = make_new_journal(system, lock, paths);
  // Another process was faster: it published its journal while this one looked.
  if (!replaces && file_exists(system, paths.journal)) refuse_faster(paths.journal);
  if (replaces) {
    remove_file(system, paths.journal);
    sync_folder_of(system, paths.journal);
  }
  return file;
}

void check_names(FileSystem& system, const RunPaths& paths, std::initializer_list<NamedFile> files,
                 const OutputLock& lock) {
  const auto refuse = [&](const std::string& gone) {
    throw Error(ErrorKind::kOther, gone + ": was removed or replaced while this run was on; " +
                                       paths.out +
                                       " is not made: start again where nobody cleans up");
  };
  for (const NamedFile& named : files) {
    if (!leads_to(system, named.path, named.file)) refuse(named.path);
  }
  if (!lock.still_held()) refuse(paths.lock);
}

}  // namespace gramtile
