// One writer at a time. Where the file system can, that is a lock (flock) on the journal, which
// ends with the process, however that ends. Where it cannot (Lustre, NFS without a lock daemon), it
// is a file OUT.lock, created so that only one process succeeds, which names its holder.
#pragma once

#include <functional>
#include <string>

#include "io/files/file.hpp"

namespace gramtile {

class OutputLock {
 public:
  using Notice = std::function<void(const std::string&)>;

  OutputLock() = default;
  /// Nothing is locked yet. With `no_lock` nothing ever is.
  OutputLock(FileSystem& system, std::string lock_path, bool no_lock, Notice notice);
  /// Removes OUT.lock when it is ours.
  ~OutputLock();
  OutputLock(OutputLock&& other) noexcept;
  OutputLock& operator=(OutputLock&& other) noexcept;

  /// Takes the output by locking `file` (the journal, or the one to be), or by making OUT.lock.
  /// Throws Error(kLocked) when another process has it.
  void acquire(File& file);

  /// True unless OUT.lock was made here and is there no more.
  bool still_held() const;

 private:
  void refuse_lock_file();
  void make_lock_file();
  bool put_stale_away(const FileStatus& stale);
  void remove();

  FileSystem* system_ = nullptr;
  std::string path_;
  bool no_lock_ = false;
  Notice notice_;
  File file_;  ///< OUT.lock, open when it is ours
};

/// False when `path` was renamed, removed or replaced since `file` was opened there.
bool leads_to(FileSystem& system, const std::string& path, const File& file);

}  // namespace gramtile
