#include <fcntl.h>
#include <linux/fs.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>

#include "io/files/file_system.hpp"

namespace gramtile {
namespace {

int answer(int result) { return result < 0 ? -errno : result; }
std::int64_t answer(ssize_t result) { return result < 0 ? -errno : result; }

FileStatus to_status(const struct stat& s) {
  return {static_cast<std::uint64_t>(s.st_dev), static_cast<std::uint64_t>(s.st_ino), s.st_size,
          S_ISREG(s.st_mode)};
}

int open_flags(OpenMode mode) {
  switch (mode) {
    case OpenMode::kRead:
      return O_RDONLY;
    case OpenMode::kReadWrite:
      return O_RDWR | O_NOFOLLOW;
    case OpenMode::kCreateNew:
      return O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW;
  }
  return O_RDONLY;
}

/// In a process whose stdin, stdout or stderr was closed, the next file gets its number, and every
/// message is written into it.
int above_standard_streams(int file) {
  if (file < 0 || file > STDERR_FILENO) return file;
  const int moved = answer(::fcntl(file, F_DUPFD_CLOEXEC, STDERR_FILENO + 1));
  ::close(file);
  return moved;
}

/// What a file system says that has no hard links.
bool has_no_links(int error_number) {
  return error_number == ENOSYS || error_number == EPERM || error_number == EOPNOTSUPP ||
         error_number == EMLINK || error_number == EINVAL || error_number == ENOTTY;
}

/// rename that does not replace, where the file system can neither do that nor link: another
/// program can come between the two calls, our own are kept out by the lock.
int look_and_rename(const std::string& from, const std::string& to) {
  struct stat s {};
  if (::lstat(to.c_str(), &s) == 0) return -EEXIST;
  if (errno != ENOENT) return -errno;
  return answer(::rename(from.c_str(), to.c_str()));
}

class PosixFileSystem final : public FileSystem {
 public:
  int open(const std::string& path, OpenMode mode) override {
    return above_standard_streams(answer(::open(path.c_str(), open_flags(mode) | O_CLOEXEC, 0666)));
  }
  int close(int file) override { return answer(::close(file)); }

  std::int64_t pwrite(int file, std::span<const std::byte> bytes, std::uint64_t offset) override {
    return answer(::pwrite(file, bytes.data(), bytes.size(), static_cast<off_t>(offset)));
  }
  std::int64_t pread(int file, std::span<std::byte> bytes, std::uint64_t offset) override {
    return answer(::pread(file, bytes.data(), bytes.size(), static_cast<off_t>(offset)));
  }

  // Not posix_fallocate: where the file system cannot, glibc writes a byte into every block
  // instead.
  int allocate(int file, std::uint64_t size_bytes) override {
    return answer(::fallocate(file, 0, 0, static_cast<off_t>(size_bytes)));
  }
  int truncate(int file, std::uint64_t size_bytes) override {
    return answer(::ftruncate(file, static_cast<off_t>(size_bytes)));
  }
  int fdatasync(int file) override { return answer(::fdatasync(file)); }
  int fsync(int file) override { return answer(::fsync(file)); }
  int lock(int file) override { return answer(::flock(file, LOCK_EX | LOCK_NB)); }

  int status(int file, FileStatus& status) override {
    struct stat s {};
    const int result = answer(::fstat(file, &s));
    status = to_status(s);
    return result;
  }
  int status(const std::string& path, FileStatus& status) override {
    struct stat s {};
    const int result = answer(::lstat(path.c_str(), &s));
    status = to_status(s);
    return result;
  }

  int rename(const std::string& from, const std::string& to, bool replace) override {
    if (replace) return answer(::rename(from.c_str(), to.c_str()));
    const int result =
        answer(::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE));
    if (result != -EINVAL && result != -ENOSYS && result != -EOPNOTSUPP) return result;
    // A file system without that flag: a hard link does not replace either.
    const int linked = answer(::link(from.c_str(), to.c_str()));
    if (linked < 0 && has_no_links(-linked)) return look_and_rename(from, to);
    return linked < 0 ? linked : answer(::unlink(from.c_str()));
  }
  int remove(const std::string& path) override { return answer(::unlink(path.c_str())); }

  int sync_folder(const std::string& path) override {
    const int folder = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (folder < 0) return -errno;
    const int result = answer(::fsync(folder));
    ::close(folder);
    const bool has_no_such_thing = result == -EINVAL || result == -ENOSYS || result == -EOPNOTSUPP;
    return has_no_such_thing ? 0 : result;
  }
};

}  // namespace

FileSystem& posix_file_system() {
  static PosixFileSystem system;
  return system;
}

}  // namespace gramtile
