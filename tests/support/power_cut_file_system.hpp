// A file system that can lose power. It writes through to a real folder, and beside that keeps what
// a disk would hold for sure: bytes that were synced, and names whose folder was synced. After the
// cut, `restore` puts into the folder what a disk might hold: every piece of an unsynced write is
// lost or kept by itself, and so is every unsynced creation, rename and removal.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <vector>

#include "engine/core/index.hpp"
#include "io/files/file_system.hpp"

namespace gramtile::test {

/// Mistakes that a protocol could make; each must be found by the campaign of power cuts.
enum class ProtocolFault {
  kNone,
  kJournalBeforeData,   ///< the journal is synced before the data that it vouches for
  kNoSyncOfData,        ///< fdatasync of the data file does nothing
  kNoSyncBeforeRename,  ///< fsync of the data file does nothing
};

class PowerCutFileSystem final : public FileSystem {
 public:
  /// Starts with what is in `folder`, all of it durable. The power fails at call `cut_at` (from 1;
  /// 0: never): that call and all later ones do nothing.
  PowerCutFileSystem(const std::string& folder, Index cut_at, ProtocolFault fault);

  Index num_calls() const { return num_calls_; }
  /// Replaces the folder's content with one of the states the disk may be in.
  void restore(std::mt19937_64& random);

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
  /// A change of a file's bytes: a write, or a new size.
  struct Change {
    bool is_resize = false;
    bool may_shrink = false;
    std::uint64_t offset = 0;  ///< or the new size
    std::vector<std::byte> bytes;
  };
  struct Content {
    std::vector<std::byte> durable;
    std::vector<Change> pending;
  };
  using ContentPointer = std::shared_ptr<Content>;
  /// A change of names: `to` empty is a removal, `from` empty a creation of `content`.
  struct NameChange {
    std::string from, to;
    ContentPointer content;
  };
  using Names = std::map<std::string, ContentPointer>;

  bool alive();  ///< counts a call; requires mutex_
  void sync(int file);
  static void apply(std::vector<std::byte>& bytes, const Change& change);
  static void apply(Names& names, const NameChange& change);
  static std::vector<std::byte> survivor(const Content& content, std::mt19937_64& random);

  FileSystem& base_ = posix_file_system();
  const std::string folder_;
  const Index cut_at_;
  const ProtocolFault fault_;

  std::mutex mutex_;
  Index num_calls_ = 0;
  Names live_, durable_;
  std::vector<NameChange> name_changes_;  ///< since the last sync_folder
  struct OpenFile {
    ContentPointer content;
    bool is_data = false;  ///< the .partial, not the journal
  };
  std::map<int, OpenFile> open_;
  int postponed_sync_ = -1;
};

}  // namespace gramtile::test
