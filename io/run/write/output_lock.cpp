#include "io/run/write/output_lock.hpp"

#include <algorithm>
#include <cerrno>
#include <utility>
#include <vector>

#include "engine/core/errors.hpp"
#include "io/run/write/lock_owner.hpp"

namespace gramtile {
namespace {

constexpr std::size_t kMaxLockFileBytes = 4096;

bool has_no_locks(int error_number) {
  return error_number == ENOSYS || error_number == ENOLCK || error_number == EOPNOTSUPP ||
         error_number == EINVAL || error_number == ENOTTY;
}

[[noreturn]] void refuse_locked(const std::string& path, const std::string& holder) {
  throw Error(ErrorKind::kLocked, path + ": " + holder +
                                      " is writing this output; wait for it or choose another "
                                      "--out");
}

/// Nobody known when the file cannot be read, or went away meanwhile.
LockOwner owner_at(FileSystem& system, const std::string& path) {
  try {
    const File file(system, path, OpenMode::kRead);
    std::vector<std::byte> bytes(kMaxLockFileBytes);
    bytes.resize(file.read(0, bytes));
    return parse_lock_owner({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  } catch (const IoError&) {
    return {};
  }
}

}  // namespace

bool leads_to(FileSystem& system, const std::string& path, const File& file) {
  const auto now = status_of(system, path);
  return now && now->same_file(file.status());
}

OutputLock::OutputLock(FileSystem& system, std::string lock_path, bool no_lock, Notice notice)
    : system_(&system),
      path_(std::move(lock_path)),
      no_lock_(no_lock),
      notice_(std::move(notice)) {}

OutputLock::~OutputLock() { remove(); }

OutputLock::OutputLock(OutputLock&& other) noexcept { *this = std::move(other); }

OutputLock& OutputLock::operator=(OutputLock&& other) noexcept {
  std::swap(system_, other.system_);
  std::swap(path_, other.path_);
  std::swap(no_lock_, other.no_lock_);
  std::swap(notice_, other.notice_);
  std::swap(file_, other.file_);
  return *this;
}

void OutputLock::acquire(File& file) {
  if (no_lock_ || file_.is_open()) return;
  try {
    if (!file.try_lock()) refuse_locked(file.path(), "another process");
  } catch (const IoError& error) {
    if (!has_no_locks(error.error_number)) throw;
    make_lock_file();
    if (notice_)
      notice_(file.path() + ": this file system has no locks (flock); " + path_ +
              " keeps other runs out instead");
    return;
  }
  refuse_lock_file();  // of a machine from which this file system has no locks
}

bool OutputLock::still_held() const { return !file_.is_open() || leads_to(*system_, path_, file_); }

/// OUT.lock is in the way unless its process is gone.
void OutputLock::refuse_lock_file() {
  const auto there = status_of(*system_, path_);
  if (!there) return;
  const LockOwner owner = there->is_regular ? owner_at(*system_, path_) : LockOwner{};
  if (is_surely_gone(owner) && put_stale_away(*there)) return;
  throw Error(ErrorKind::kLocked, path_ + ": " + describe(owner) +
                                      " is writing this output; wait for it, or, when it runs no "
                                      "more, remove this file");
}

/// The name goes by a rename, so that of several processes that found the same stale file only one
/// gets it; one that gets a fresh one in its place gives it back.
bool OutputLock::put_stale_away(const FileStatus& stale) {
  const std::string aside = path_ + "." + std::to_string(this_process().process);
  if (system_->rename(path_, aside, /*replace=*/true) < 0) return false;
  FileStatus taken;
  if (system_->status(aside, taken) >= 0 && !taken.same_file(stale)) {
    system_->rename(aside, path_, /*replace=*/false);
    return false;
  }
  return system_->remove(aside) >= 0;
}

void OutputLock::make_lock_file() {
  refuse_lock_file();
  File file;
  try {
    file = File(*system_, path_, OpenMode::kCreateNew);
  } catch (const IoError& error) {
    if (error.error_number != EEXIST) throw;
    refuse_locked(path_, "another process");
  }
  file_ = std::move(file);
  const std::string text = to_text(this_process());
  file_.write(0, std::as_bytes(std::span(text)));
}

void OutputLock::remove() {
  if (!file_.is_open()) return;
  try {
    if (leads_to(*system_, path_, file_)) system_->remove(path_);
  } catch (const IoError&) {  // it stays, and names a process that is gone
  }
}

}  // namespace gramtile
