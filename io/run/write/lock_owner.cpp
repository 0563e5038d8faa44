#include "io/run/write/lock_owner.hpp"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <sstream>

namespace gramtile {
namespace {

constexpr char kSeparator[] = " = ";

std::string first_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

std::string target_of(const std::string& link) {
  std::array<char, 256> target{};
  const ssize_t n = ::readlink(link.c_str(), target.data(), target.size());
  return n <= 0 ? "" : std::string(target.data(), static_cast<std::size_t>(n));
}

// Field 22 of /proc/PID/stat. The second is the command in brackets, which may hold anything.
std::string start_of(std::int64_t process) {
  const std::string stat = first_line("/proc/" + std::to_string(process) + "/stat");
  const auto bracket = stat.rfind(')');
  if (bracket == stat.npos) return "";
  std::istringstream fields(stat.substr(bracket + 1));
  std::string field;
  for (int i = 3; i <= 22; ++i) fields >> field;
  return field;
}

std::string value_of(const std::string& line, const std::string& name) {
  const std::string head = name + kSeparator;
  return line.starts_with(head) ? line.substr(head.size()) : "";
}

}  // namespace

LockOwner this_process() {
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  LockOwner owner;
  owner.host = host.data();
  owner.boot = first_line("/proc/sys/kernel/random/boot_id");
  owner.pid_namespace = target_of("/proc/self/ns/pid");
  owner.process = ::getpid();
  owner.started = start_of(owner.process);
  return owner;
}

std::string to_text(const LockOwner& owner) {
  return "host" + (kSeparator + owner.host) + "\nprocess" + kSeparator +
         std::to_string(owner.process) + "\nstarted" + kSeparator + owner.started + "\nboot" +
         kSeparator + owner.boot + "\npid namespace" + kSeparator + owner.pid_namespace + "\n";
}

LockOwner parse_lock_owner(const std::string& text) {
  LockOwner owner;
  std::istringstream lines(text);
  // A line without its end may be half a line.
  for (std::string line; std::getline(lines, line) && !lines.eof();) {
    if (const std::string host = value_of(line, "host"); !host.empty()) owner.host = host;
    if (const std::string started = value_of(line, "started"); !started.empty())
      owner.started = started;
    if (const std::string boot = value_of(line, "boot"); !boot.empty()) owner.boot = boot;
    if (const std::string space = value_of(line, "pid namespace"); !space.empty())
      owner.pid_namespace = space;
    const std::string process = value_of(line, "process");
    std::from_chars(process.data(), process.data() + process.size(), owner.process);
  }
  return owner;
}

bool is_surely_gone(const LockOwner& owner) {
  const LockOwner self = this_process();
  const bool same_kernel = !self.boot.empty() && owner.boot == self.boot &&
                           !self.pid_namespace.empty() && owner.pid_namespace == self.pid_namespace;
  if (!same_kernel || owner.process <= 0 || owner.started.empty()) return false;
  if (::kill(static_cast<pid_t>(owner.process), 0) != 0 && errno == ESRCH) return true;
  const std::string started = start_of(owner.process);
  return !started.empty() && started != owner.started;
}

std::string describe(const LockOwner& owner) {
  if (owner.process <= 0) return "an unknown process";
  std::string host;
  for (const char c : owner.host) host += c >= ' ' && c <= '~' ? c : '?';
  return "process " + std::to_string(owner.process) + " on " +
         (host.empty() ? "an unknown machine" : host);
}

}  // namespace gramtile
