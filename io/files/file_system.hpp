// Every file call of the writing path, as an interface: tests fail, kill or tear any one of them.
// The calls are those of POSIX and answer like them: a result ≥ 0, or −errno. Loops, errors and
// ownership are in file.hpp; nothing else calls this.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

namespace gramtile {

enum class OpenMode {
  kRead,
  kReadWrite,  ///< −ELOOP for a symbolic link: another program may have laid it there
  kCreateNew,  ///< for reading and writing; −EEXIST when the name is taken, by a link too
};

/// Which file it is, to tell whether a path still leads to an open file.
struct FileStatus {
  std::uint64_t device = 0, inode = 0;
  std::int64_t size_bytes = 0;
  bool is_regular = false;  ///< no folder, link, pipe or device

  bool same_file(const FileStatus& other) const {
    return device == other.device && inode == other.inode;
  }
};

class FileSystem {
 public:
  virtual ~FileSystem() = default;

  virtual int open(const std::string& path, OpenMode mode) = 0;  ///< a descriptor, never 0, 1 or 2
  virtual int close(int file) = 0;
  /// Bytes moved; may be fewer than asked for.
  virtual std::int64_t pwrite(int file, std::span<const std::byte> bytes, std::uint64_t offset) = 0;
  virtual std::int64_t pread(int file, std::span<std::byte> bytes, std::uint64_t offset) = 0;
  /// Reserves space for [0, size) and makes the file that long; −EOPNOTSUPP where it cannot.
  virtual int allocate(int file, std::uint64_t size_bytes) = 0;
  virtual int truncate(int file, std::uint64_t size_bytes) = 0;
  virtual int fdatasync(int file) = 0;
  virtual int fsync(int file) = 0;
  /// Exclusive, not waiting: −EWOULDBLOCK when another descriptor holds it. Ends with close.
  virtual int lock(int file) = 0;
  virtual int status(int file, FileStatus& status) = 0;
  /// Of the name itself: a link is not followed.
  virtual int status(const std::string& path, FileStatus& status) = 0;
  /// −EEXIST when `to` exists and may not be replaced.
  virtual int rename(const std::string& from, const std::string& to, bool replace) = 0;
  virtual int remove(const std::string& path) = 0;
  /// Makes renames, creations and removals in this folder durable.
  virtual int sync_folder(const std::string& path) = 0;
};

/// The real one.
FileSystem& posix_file_system();

}  // namespace gramtile
