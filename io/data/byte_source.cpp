#include "io/data/byte_source.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "engine/core/errors.hpp"
#include "io/data/bad_data.hpp"
#include "io/files/input_files.hpp"

namespace gramtile {
namespace {

void check_inside(const ByteSource& source, std::uint64_t offset, std::size_t size) {
  if (offset <= source.size() && size <= source.size() - offset) return;
  const std::uint64_t left = offset < source.size() ? source.size() - offset : 0;
  refuse_data(source.name(), offset, fmt::format("{} more bytes", size),
              fmt::format("{} (the file ends at {})", left, source.size()));
}

class FileBytes : public ByteSource {
 public:
  FileBytes(int descriptor, std::uint64_t size, std::string name)
      : descriptor_(descriptor), size_(size), name_(std::move(name)) {}
  ~FileBytes() override { ::close(descriptor_); }
  FileBytes(const FileBytes&) = delete;
  FileBytes& operator=(const FileBytes&) = delete;

  const std::string& name() const override { return name_; }
  std::uint64_t size() const override { return size_; }

  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    check_inside(*this, offset, out.size());
    while (!out.empty()) {
      const ssize_t count =
          ::pread(descriptor_, out.data(), out.size(), static_cast<off_t>(offset));
      if (count < 0 && errno == EINTR) continue;
      if (count < 0) throw IoError(name_, "read", errno);
      if (count == 0) {
        refuse_data(name_, offset, fmt::format("a file of {} bytes as when it was opened", size_),
                    "its end: it was shortened meanwhile");
      }
      offset += static_cast<std::uint64_t>(count);
      out = out.subspan(static_cast<std::size_t>(count));
    }
  }

 private:
  int descriptor_;
  std::uint64_t size_;
  std::string name_;
};

class MemoryBytes : public ByteSource {
 public:
  MemoryBytes(std::vector<std::byte> bytes, std::string name)
      : bytes_(std::move(bytes)), name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  std::uint64_t size() const override { return bytes_.size(); }

  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    check_inside(*this, offset, out.size());
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
  }

 private:
  std::vector<std::byte> bytes_;
  std::string name_;
};

class SectionBytes : public ByteSource {
 public:
  SectionBytes(SharedBytes whole, std::uint64_t offset, std::uint64_t size, std::string name)
      : whole_(std::move(whole)), offset_(offset), size_(size), name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  std::uint64_t size() const override { return size_; }

  void read(std::uint64_t offset, std::span<std::byte> out) const override {
    check_inside(*this, offset, out.size());
    whole_->read(offset_ + offset, out);
  }

 private:
  SharedBytes whole_;
  std::uint64_t offset_, size_;
  std::string name_;
};

}  // namespace

SharedBytes open_file(const std::string& path) {
  const std::string name = printable(path, 4096);
  // O_NONBLOCK: a named pipe must be refused below, not waited for.
  const int descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (descriptor < 0) throw IoError(name, "open", errno);
  struct stat status {};
  const int stat_error = ::fstat(descriptor, &status) == 0 ? 0 : errno;
  if (stat_error == 0 && S_ISREG(status.st_mode)) {
    SharedBytes bytes = adopt_file(descriptor, static_cast<std::uint64_t>(status.st_size), name);
    InputRecorder::note(descriptor, name);
    return bytes;
  }
  ::close(descriptor);
  if (stat_error != 0) throw IoError(name, "stat", stat_error);
  throw DataError(name, "expected a regular file, found a directory, pipe or device");
}

SharedBytes adopt_file(int descriptor, std::uint64_t size, std::string name) {
  return std::make_shared<FileBytes>(descriptor, size, std::move(name));
}

SharedBytes from_memory(std::vector<std::byte> bytes, std::string name) {
  return std::make_shared<MemoryBytes>(std::move(bytes), std::move(name));
}

SharedBytes section_of(SharedBytes whole, std::uint64_t offset, std::uint64_t size,
                       std::string name) {
  if (offset > whole->size() || size > whole->size() - offset) {
    refuse_data(whole->name(), offset, fmt::format("{} more bytes for {}", size, name),
                fmt::format("{} (the file ends at {})",
                            offset < whole->size() ? whole->size() - offset : 0, whole->size()));
  }
  return std::make_shared<SectionBytes>(std::move(whole), offset, size, std::move(name));
}

std::vector<std::byte> read_head(const ByteSource& source, std::size_t max_size) {
  std::vector<std::byte> head(
      static_cast<std::size_t>(std::min<std::uint64_t>(source.size(), max_size)));
  source.read(0, head);
  return head;
}

}  // namespace gramtile
