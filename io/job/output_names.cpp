#include "io/job/output_names.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include "engine/core/errors.hpp"

namespace gramtile {
namespace {

namespace fs = std::filesystem;

[[noreturn]] void refuse(const std::string& out, std::string_view problem) {
  throw Error(ErrorKind::kCannotCreate, fmt::format("{}: {}", out, problem));
}

// The path behind links, of which the last may lead to nothing yet.
std::string target_of(const std::string& out) {
  constexpr int kMostLinks = 40;  // as many as the system follows
  fs::path path = out;
  std::error_code error;
  for (int i = 0; i < kMostLinks && fs::is_symlink(fs::symlink_status(path, error)); ++i) {
    const fs::path target = fs::read_symlink(path, error);
    if (error) refuse(out, "is a link that cannot be read; choose another --out");
    path = target.is_absolute() ? target : path.parent_path() / target;
  }
  if (fs::is_symlink(fs::symlink_status(path, error)))
    refuse(out, "is a link that leads nowhere but to links; choose another --out");
  return path.string();
}

void check_folder(const std::string& out) {
  const fs::path parent = fs::path(out).parent_path();
  const std::string folder = parent.empty() ? "." : parent.string();
  struct stat status {};
  const int error = ::stat(folder.c_str(), &status) == 0 ? 0 : errno;
  if (error == 0 && !S_ISDIR(status.st_mode))
    refuse(out, fmt::format("{} is no folder; choose another --out", folder));
  if (error != 0 || ::access(folder.c_str(), W_OK | X_OK) != 0)
    refuse(out, fmt::format("{}: {}; choose an --out in a folder that can be written", folder,
                            std::generic_category().message(error != 0 ? error : errno)));
}

// A rename replaces a file that may not be written, but not one that is protected, nor in a folder
// like /tmp one of somebody else.
void check_replaceable(const std::string& out, const struct stat& status) {
  const int file = ::open(out.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
  const bool is_protected = file < 0 && errno == EPERM;
  if (file >= 0) ::close(file);
  const fs::path parent = fs::path(out).parent_path();
  struct stat folder {};
  const bool is_sticky = ::stat(parent.empty() ? "." : parent.c_str(), &folder) == 0 &&
                         (folder.st_mode & S_ISVTX) != 0;
  const uid_t self = ::geteuid();
  const bool is_foreign = is_sticky && self != 0 && status.st_uid != self && folder.st_uid != self;
  if (is_protected || is_foreign)
    refuse(out, "exists and is protected, so that it cannot be replaced; choose another --out");
}

void check_existing(const std::string& out, StartMode mode) {
  struct stat status {};
  if (::stat(out.c_str(), &status) != 0) return;
  if (!S_ISREG(status.st_mode))
    refuse(out, S_ISDIR(status.st_mode)
                    ? "is a folder; name a file, for example in it"
                    : "is a pipe or a device and no regular file; choose another --out");
  if (mode == StartMode::kCreate)
    refuse(out, "exists; name another output, or replace it with --overwrite");
  if (mode == StartMode::kOverwrite) check_replaceable(out, status);
}

std::array<std::string, 6> names_of(const std::string& out) {
  return {
      out,          out + ".partial", out + ".journal", out + ".partial.new", out + ".journal.new",
      out + ".lock"};
}

[[noreturn]] void refuse_input(const std::string& out, const std::string& name,
                               const std::string& input) {
  throw Error(ErrorKind::kUsage,
              fmt::format("--out {}: the run would replace or remove {}, which is an input ({}); "
                          "name another output",
                          out, name, input));
}

}  // namespace

std::string settle_output(const std::string& out, StartMode mode) {
  if (out.empty()) throw Error(ErrorKind::kUsage, "--out is empty; name the file to write");
  std::string target = target_of(out);
  check_existing(target, mode);
  if (fs::path(target).filename().empty()) refuse(target, "is a folder; name a file in it");
  check_folder(target);
  return target;
}

void refuse_inputs_as_outputs(const std::string& out, std::span<const InputFile> inputs) {
  for (const std::string& name : names_of(out)) {
    for (const InputFile& input : inputs) {
      if (input.is_at(name)) refuse_input(out, name, input.path());
    }
  }
}

void refuse_inputs_as_outputs(const std::string& out, std::span<const std::string> inputs) {
  std::error_code ignored;  // what cannot be looked at is not the same file
  for (const std::string& name : names_of(out)) {
    for (const std::string& input : inputs) {
      if (fs::equivalent(name, input, ignored)) refuse_input(out, name, input);
    }
  }
}

}  // namespace gramtile
