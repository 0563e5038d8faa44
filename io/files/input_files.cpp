#include "io/files/input_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "engine/core/errors.hpp"

namespace gramtile {
namespace {

thread_local InputRecorder* recorder = nullptr;

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

InputFile::InputFile(int descriptor, std::string path)
    : path_(std::move(path)), descriptor_(::fcntl(descriptor, F_DUPFD_CLOEXEC, 3)) {
  if (descriptor_ < 0 || !read_status(before_)) {
    const int error = errno;
    if (descriptor_ >= 0) ::close(descriptor_);
    throw IoError(path_, "look at", error);
  }
}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

InputFile::InputFile(InputFile&& other) noexcept
    : path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      before_(other.before_) {}

InputFile& InputFile::operator=(InputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(descriptor_, other.descriptor_);
  std::swap(before_, other.before_);
  return *this;
}

bool InputFile::read_status(Status& status) const {
  struct stat s {};
  if (::fstat(descriptor_, &s) != 0) return false;
  status = {static_cast<std::uint64_t>(s.st_dev),
            static_cast<std::uint64_t>(s.st_ino),
            s.st_size,
            nanoseconds(s.st_mtim),
            nanoseconds(s.st_ctim),
            static_cast<std::uint64_t>(s.st_nlink)};
  return true;
}

bool InputFile::is(const InputFile& other) const {
  return before_.device == other.before_.device && before_.inode == other.before_.inode;
}

bool InputFile::is_at(const std::string& path) const {
  struct stat s {};
  return ::stat(path.c_str(), &s) == 0 && s.st_dev == before_.device && s.st_ino == before_.inode;
}

void InputFile::check_unchanged() const {
  Status now;
  if (!read_status(now)) throw IoError(path_, "look at", errno);
  // ctime also tells of a new or lost name (a file that took this one's place); the rest does not.
  const bool changed = now.size_bytes != before_.size_bytes ||
                       now.modified_ns != before_.modified_ns ||
                       (now.changed_ns != before_.changed_ns && now.num_links == before_.num_links);
  if (changed)
    throw DataError(path_,
                    "was written to while this run read it; what was finished before is kept: "
                    "continue with --resume when the file is again what it was, or start over with "
                    "--overwrite");
}

InputRecorder::InputRecorder() : outer_(std::exchange(recorder, this)) {}
InputRecorder::~InputRecorder() { recorder = outer_; }

void InputRecorder::note(int descriptor, const std::string& path) {
  if (recorder == nullptr) return;
  InputFile file(descriptor, path);
  auto& files = recorder->files_;
  const auto is_known = [&](const InputFile& known) { return known.is(file); };
  if (std::ranges::none_of(files, is_known)) files.push_back(std::move(file));
}

}  // namespace gramtile
