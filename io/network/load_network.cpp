#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cerrno>
#include <cstdio>
#include <memory>
#include <optional>

#include "engine/core/errors.hpp"
#include "engine/network/presets.hpp"
#include "io/network/network_json.hpp"

namespace gramtile {
namespace {

// The file's text, of a file too long only as much as shows that; empty when there is no such file.
std::optional<std::string> read_file(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rb"),
                                                             &std::fclose);
  if (!file) {
    if (errno == ENOENT || errno == ENOTDIR) {
      return std::nullopt;
    }
    throw IoError(path, "open", errno);
  }
  std::string text(kMaxNetworkBytes + 1, '\0');
  errno = 0;
  text.resize(std::fread(text.data(), 1, text.size(), file.get()));
  if (std::ferror(file.get()) != 0) {
    throw IoError(path, "read", errno);
  }
  return text;
}

}  // namespace

NetworkError in_file(const std::string& file, const NetworkError& error) {
  const std::string what = error.what();
  const std::string problem =
      error.where.empty() ? what : what.substr(error.where.size() + std::string_view(": ").size());
  if (file.empty()) {
    return error;
  }
  return NetworkError(error.where.empty() ? file : file + ": " + error.where, problem);
}

Network load_network(const std::string& path_or_preset) {
  if (const std::optional<std::string> text = read_file(path_or_preset)) {
    return read_network(*text, path_or_preset);
  }
  if (std::optional<Network> preset = preset_network(path_or_preset)) {
    return *preset;
  }
  throw NetworkError(path_or_preset,
                     fmt::format("no such file, and no preset of that name; there are {}",
                                 fmt::join(preset_names(), ", ")));
}

}  // namespace gramtile
