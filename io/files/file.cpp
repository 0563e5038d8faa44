#include "io/files/file.hpp"

#include <cerrno>
#include <filesystem>
#include <utility>

#include "engine/core/errors.hpp"

namespace gramtile {
namespace {

/// The call again for as long as a signal interrupts it.
template <typename Call>
auto repeat_interrupted(const Call& call) {
  auto answer = call();
  while (answer == -EINTR) answer = call();
  return answer;
}

std::string bytes_at(std::size_t count, std::uint64_t offset) {
  return std::to_string(count) + " bytes at " + std::to_string(offset);
}

}  // namespace

File::File(FileSystem& system, const std::string& path, OpenMode mode)
    : system_(&system), path_(path) {
  descriptor_ = repeat_interrupted([&] { return system.open(path, mode); });
  if (descriptor_ < 0) fail(mode == OpenMode::kCreateNew ? "create" : "open", descriptor_);
}

File::~File() {
  if (is_open()) system_->close(descriptor_);
}

File::File(File&& other) noexcept
    : system_(other.system_),
      path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)) {}

File& File::operator=(File&& other) noexcept {
  std::swap(system_, other.system_);
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  return *this;
}

void File::fail(const std::string& operation, std::int64_t answer) const {
  throw IoError(path_, operation, static_cast<int>(-answer));
}

void File::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const auto n = repeat_interrupted([&] { return system_->pwrite(descriptor_, bytes, offset); });
    // POSIX allows 0 for a full device; it would loop for ever.
    if (n <= 0) fail("write " + bytes_at(bytes.size(), offset), n == 0 ? -ENOSPC : n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
    offset += static_cast<std::uint64_t>(n);
  }
}

std::size_t File::read(std::uint64_t offset, std::span<std::byte> bytes) const {
  std::size_t done = 0;
  while (done < bytes.size()) {
    const auto rest = bytes.subspan(done);
    const auto n =
        repeat_interrupted([&] { return system_->pread(descriptor_, rest, offset + done); });
    if (n < 0) fail("read " + bytes_at(rest.size(), offset + done), n);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  return done;
}

void File::read_all(std::uint64_t offset, std::span<std::byte> bytes) const {
  const std::size_t n = read(offset, bytes);
  if (n < bytes.size()) fail("read past the end: " + bytes_at(bytes.size(), offset), -EIO);
}

void File::allocate(std::uint64_t size_bytes) {
  const int answer = repeat_interrupted([&] { return system_->allocate(descriptor_, size_bytes); });
  if (answer < 0 && answer != -EOPNOTSUPP && answer != -ENOSYS)
    fail("reserve " + std::to_string(size_bytes) + " bytes", answer);
}

void File::truncate(std::uint64_t size_bytes) {
  const int answer = repeat_interrupted([&] { return system_->truncate(descriptor_, size_bytes); });
  if (answer < 0) fail("cut to " + std::to_string(size_bytes) + " bytes", answer);
}

// A failed sync is never repeated, not even an interrupted one: the kernel may have dropped the
// pages and would report success the second time.
void File::sync_data() {
  const int answer = system_->fdatasync(descriptor_);
  if (answer < 0) fail("sync (fdatasync)", answer);
}

void File::sync() {
  const int answer = system_->fsync(descriptor_);
  if (answer < 0) fail("sync (fsync)", answer);
}

bool File::try_lock() {
  const int answer = repeat_interrupted([&] { return system_->lock(descriptor_); });
  if (answer == -EWOULDBLOCK) return false;
  if (answer < 0) fail("lock", answer);
  return true;
}

FileStatus File::status() const {
  FileStatus status;
  const int answer = repeat_interrupted([&] { return system_->status(descriptor_, status); });
  if (answer < 0) fail("stat", answer);
  return status;
}

std::optional<FileStatus> status_of(FileSystem& system, const std::string& path) {
  FileStatus status;
  const int answer = repeat_interrupted([&] { return system.status(path, status); });
  if (answer == -ENOENT || answer == -ENOTDIR) return std::nullopt;
  if (answer < 0) throw IoError(path, "stat", -answer);
  return status;
}

bool file_exists(FileSystem& system, const std::string& path) {
  return status_of(system, path).has_value();
}

void rename_file(FileSystem& system, const std::string& from, const std::string& to, bool replace) {
  const int answer = repeat_interrupted([&] { return system.rename(from, to, replace); });
  if (answer < 0) throw IoError(from, "rename to " + to, -answer);
}

void remove_file(FileSystem& system, const std::string& path) {
  const int answer = repeat_interrupted([&] { return system.remove(path); });
  if (answer < 0 && answer != -ENOENT) throw IoError(path, "remove", -answer);
}

void sync_folder_of(FileSystem& system, const std::string& path) {
  const auto folder = std::filesystem::path(path).parent_path();
  const std::string name = folder.empty() ? "." : folder.string();
  const int answer = system.sync_folder(name);
  if (answer < 0) throw IoError(name, "sync the folder", -answer);
}

}  // namespace gramtile
