// One open file of the writing path: owns the descriptor, continues short reads and writes, repeats
// interrupted calls, and turns failures into IoError with path, bytes and offset.
//
// Thread-safety: const calls and calls on disjoint ranges may run at the same time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "io/files/file_system.hpp"

namespace gramtile {

class File {
 public:
  File() = default;
  File(FileSystem& system, const std::string& path, OpenMode mode);
  ~File();
  File(File&& other) noexcept;
  File& operator=(File&& other) noexcept;

  bool is_open() const { return descriptor_ >= 0; }
  const std::string& path() const { return path_; }
  /// Tells an open file that it was renamed; for messages.
  void set_path(const std::string& path) { path_ = path; }

  void write(std::uint64_t offset, std::span<const std::byte> bytes);
  /// Fewer bytes than asked for only at the end of the file; returns how many.
  std::size_t read(std::uint64_t offset, std::span<std::byte> bytes) const;
  /// A file that ends early is an IoError.
  void read_all(std::uint64_t offset, std::span<std::byte> bytes) const;

  /// Reserves space; silently nothing where the file system cannot.
  void allocate(std::uint64_t size_bytes);
  void truncate(std::uint64_t size_bytes);
  void sync_data();
  void sync();
  /// False when another holds the lock.
  bool try_lock();
  FileStatus status() const;

 private:
  [[noreturn]] void fail(const std::string& operation, std::int64_t answer) const;

  FileSystem* system_ = nullptr;
  std::string path_;
  int descriptor_ = -1;
};

/// Calls on paths, with the same turn from answers to IoError.
std::optional<FileStatus> status_of(FileSystem& system, const std::string& path);  ///< if it exists
bool file_exists(FileSystem& system, const std::string& path);
/// Throws IoError with EEXIST when `to` exists and may not be replaced.
void rename_file(FileSystem& system, const std::string& from, const std::string& to, bool replace);
/// A file that is not there is fine.
void remove_file(FileSystem& system, const std::string& path);
void sync_folder_of(FileSystem& system, const std::string& path);

}  // namespace gramtile
