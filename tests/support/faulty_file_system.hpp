// A file system whose n-th call goes wrong, on top of the real one. Syncs are not passed on: what
// they are for is the power cut's business (power_cut_file_system.hpp), and they would cost
// seconds.
#pragma once

#include <cerrno>
#include <mutex>

#include "engine/core/index.hpp"
#include "io/files/file_system.hpp"

namespace gramtile::test {

/// What happens at the chosen call.
enum class Fault {
  kNone,
  kDie,          ///< a kill: a write gets half done, and from then on nothing happens any more
  kFail,         ///< the call fails with `error_number`
  kFailForGood,  ///< so does every later call that writes or syncs
  kShort,        ///< a read or write moves 1 byte; other calls are left alone
  kInterrupt,    ///< the call fails with EINTR, once
};

class FaultyFileSystem final : public FileSystem {
 public:
  explicit FaultyFileSystem(FileSystem& base = posix_file_system()) : base_(base) {}

  /// Calls are counted from 1; close is not counted.
  void plan(Index call, Fault fault, int error_number = EIO);
  Index num_calls() const { return num_calls_; }
  bool struck() const { return struck_; }

  int open(const std::string& path, OpenMode mode) override;
  int close(int file) override;
  std::int64_t pwrite(int file, std::span<const std::byte> bytes, std::uint64_t offset) override;
  std::int64_t pread(int file, std::span<std::byte> bytes, std::uint64_t offset) override;
  int allocate(int file, std::uint64_t size_bytes) override;
  int truncate(int file, std::uint64_t size_bytes) override;
  int fdatasync(int file) override;
  int fsync(int file) override;
  int lock(int file) override;
  int status(int file, FileStatus& status) override;
  int status(const std::string& path, FileStatus& status) override;
  int rename(const std::string& from, const std::string& to, bool replace) override;
  int remove(const std::string& path) override;
  int sync_folder(const std::string& path) override;

 private:
  /// Counts a call. 0: go on; otherwise the answer to give. `kShort` and a dying write come back as
  /// `partial`.
  int enter(bool writes, bool& partial);
  int enter(bool writes);

  FileSystem& base_;
  std::mutex mutex_;
  Index num_calls_ = 0;
  Index chosen_call_ = 0;
  Fault fault_ = Fault::kNone;
  int error_number_ = EIO;
  bool struck_ = false;
  bool dead_ = false;
};

}  // namespace gramtile::test
