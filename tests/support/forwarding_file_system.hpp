// A file system that passes every call on to the real one: tests override the one that differs.
#pragma once

#include "io/files/file_system.hpp"

namespace gramtile::test {

class ForwardingFileSystem : public FileSystem {
 public:
  int open(const std::string& path, OpenMode mode) override { return base_.open(path, mode); }
  int close(int file) override { return base_.close(file); }
  std::int64_t pwrite(int file, std::span<const std::byte> bytes, std::uint64_t offset) override {
    return base_.pwrite(file, bytes, offset);
  }
  std::int64_t pread(int file, std::span<std::byte> bytes, std::uint64_t offset) override {
    return base_.pread(file, bytes, offset);
  }
  int allocate(int file, std::uint64_t size_bytes) override {
    return base_.allocate(file, size_bytes);
  }
  int truncate(int file, std::uint64_t size_bytes) override {
    return base_.truncate(file, size_bytes);
  }
  int fdatasync(int file) override { return base_.fdatasync(file); }
  int fsync(int file) override { return base_.fsync(file); }
  int lock(int file) override { return base_.lock(file); }
  int status(int file, FileStatus& status) override { return base_.status(file, status); }
  int status(const std::string& path, FileStatus& status) override {
    return base_.status(path, status);
  }
  int rename(const std::string& from, const std::string& to, bool replace) override {
    return base_.rename(from, to, replace);
  }
  int remove(const std::string& path) override { return base_.remove(path); }
  int sync_folder(const std::string& path) override { return base_.sync_folder(path); }

 private:
  FileSystem& base_ = posix_file_system();
};

}  // namespace gramtile::test
