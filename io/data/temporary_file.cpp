#include "io/data/temporary_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <utility>

#include "engine/core/errors.hpp"

namespace gramtile {
namespace {

std::string temporary_folder() {
  const char* const chosen = std::getenv("TMPDIR");
  return chosen != nullptr && *chosen != '\0' ? chosen : "/var/tmp";
}

int open_unnamed(const std::string& folder) {
  const int unnamed = ::open(folder.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
  if (unnamed >= 0) return unnamed;
  std::string path = folder + "/gramtile-XXXXXX";  // file systems without O_TMPFILE
  const int named = ::mkostemp(path.data(), O_CLOEXEC);
  if (named < 0) throw IoError(folder, "create a temporary file", errno);
  ::unlink(path.c_str());
  return named;
}

}  // namespace

TemporaryFile::TemporaryFile(std::uint64_t size)
    : folder_(temporary_folder()), size_(size), descriptor_(open_unnamed(folder_)) {
  const int error = ::posix_fallocate(descriptor_, 0, static_cast<off_t>(size));
  if (error == 0 || error == EOPNOTSUPP || error == EINVAL) return;
  ::close(descriptor_);
  throw IoError(folder_,
                "reserve " + std::to_string(size) +
                    " bytes to unpack a data set (set "
                    "TMPDIR to another folder, or unpack it yourself)",
                error);
}

TemporaryFile::~TemporaryFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void TemporaryFile::write(std::uint64_t offset, std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t count =
        ::pwrite(descriptor_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) throw IoError(folder_, "write a temporary file", errno);
    offset += static_cast<std::uint64_t>(count);
    bytes = bytes.subspan(static_cast<std::size_t>(count));
  }
}

SharedBytes TemporaryFile::into_source(std::string name) && {
  return adopt_file(std::exchange(descriptor_, -1), size_, std::move(name));
}

}  // namespace gramtile
