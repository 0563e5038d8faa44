#include "io/hdf5/probe.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/errors.hpp"
#include "io/hdf5/handle.hpp"
#include "io/hdf5/probe_walk.hpp"
#include "io/hdf5/sharing.hpp"

namespace gramtile::hdf5 {
namespace {

constexpr std::uint64_t kMemoryBytes = std::uint64_t{512} << 20;
constexpr std::uint64_t kBytesPerSecond = 100'000'000;
constexpr std::uint64_t kLeastSeconds = 5;
constexpr std::chrono::seconds kLeastClock{60};

void limit(int resource, std::uint64_t amount) {
  struct rlimit now {};
  if (getrlimit(static_cast<__rlimit_resource_t>(resource), &now) != 0) return;
  now.rlim_cur = std::min<rlim_t>(now.rlim_max, amount);
  setrlimit(static_cast<__rlimit_resource_t>(resource), &now);
}

/// What this process has mapped [bytes].
std::uint64_t mapped_bytes() {
  std::uint64_t pages = 0;
  std::ifstream("/proc/self/statm") >> pages;
  return pages * static_cast<std::uint64_t>(sysconf(_SC_PAGESIZE));
}

/// `mapped`: what the process had mapped before the fork [bytes].
void limit_memory([[maybe_unused]] std::uint64_t mapped) {
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)  // they map terabytes
  if (mapped > 0) limit(RLIMIT_AS, mapped + kMemoryBytes);
#endif
}

/// The library frees and follows what it never set, after some damage; whether that crashes depends
/// on what the memory held before, and the parent's may hold something else. Here it crashes
/// always: new memory is full of nonsense, and none is handed out again past malloc.
void make_memory_hostile() {
#ifdef M_PERTURB
  mallopt(M_PERTURB, 0x5a);
#endif
  H5set_free_list_limits(0, 0, 0, 0, 0, 0);
  H5garbage_collect();
}

/// Leaves the child none of the parent's files but `answer`: locks that the parent gives up by
/// closing a file would else be held for as long as the child lives.
int close_others(int answer) {
  constexpr int kAnswer = 3;
  ::dup2(answer, kAnswer);
  ::close_range(kAnswer + 1, ~0U, 0);
  if (::write(kAnswer, "c", 1) != 1) ::_exit(1);
  return kAnswer;
}

[[noreturn]] void run_child(const char* path, std::uint64_t cpu_seconds, std::uint64_t mapped,
                            int answer) {
  answer = close_others(answer);
  for (const int number : {SIGINT, SIGTERM, SIGHUP, SIGXCPU, SIGSEGV, SIGBUS, SIGABRT})
    std::signal(number, SIG_DFL);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int nowhere = ::open("/dev/null", O_RDWR);
  for (const int stream : {0, 1, 2}) ::dup2(nowhere, stream);
  forget_library_lock();
  limit(RLIMIT_CORE, 0);
  limit(RLIMIT_CPU, cpu_seconds);
  limit_memory(mapped);
  make_memory_hostile();
  const Verdict verdict = walk(path);
  const ssize_t written = ::write(answer, &verdict, 1);
  ::_exit(written == 1 ? 0 : 1);
}

// --- the parent ---------------------------------------------------------------------------------

ForeignLock& foreign_lock() {
  static auto* lock = new ForeignLock;  // never destroyed: files may be opened after main()
  return *lock;
}

using Clock = std::chrono::steady_clock;

/// How a child is watched.
struct Watch {
  pid_t child;
  int answer;  ///< where its bytes come from
  Clock::time_point end;
  std::chrono::milliseconds patience;  ///< with a child that uses no processor time
};

enum class Heard { kByte, kNothing, kTooLate, kAsleep };

/// Processor time that a process has used; nullopt where the system does not tell.
std::optional<std::chrono::nanoseconds> used_time(pid_t process) {
  clockid_t clock{};
  struct timespec used {};
  if (::clock_getcpuclockid(process, &clock) != 0 || ::clock_gettime(clock, &used) != 0)
    return std::nullopt;
  return std::chrono::seconds(used.tv_sec) + std::chrono::nanoseconds(used.tv_nsec);
}

constexpr int kLookEvery = 100;  // ms

/// Waits for the child's next byte; kNothing: it has ended.
Heard hear(const Watch& watch, char& byte) {
  auto used = used_time(watch.child);
  auto awake = Clock::now();
  for (;;) {
    pollfd wanted{.fd = watch.answer, .events = POLLIN, .revents = 0};
    if (::poll(&wanted, 1, kLookEvery) > 0) {
      const ssize_t got = ::read(watch.answer, &byte, 1);
      if (got >= 0) return got == 1 ? Heard::kByte : Heard::kNothing;
      if (errno != EINTR) return Heard::kNothing;
    }
    const auto now = Clock::now();
    if (const auto used_now = used_time(watch.child); !used_now || used_now != used) {
      used = used_now;
      awake = now;
    }
    if (now > watch.end) return Heard::kTooLate;
    if (now - awake > watch.patience) return Heard::kAsleep;
  }
}

/// What became of a child.
struct Outcome {
  Heard heard = Heard::kNothing;
  char verdict = 0;  ///< of kByte
  int status = 0;    ///< as waitpid() gives it
};

struct Limits {
  std::uint64_t cpu_seconds;   ///< of each child
  std::chrono::seconds clock;  ///< of all
};

/// Forks for run_child(), and hears the byte that says that the child has none of our files any
/// more.
Heard start_child(const char* path, std::uint64_t cpu_seconds, int child_end, Watch& watch) {
  const ForeignLock& foreign = foreign_lock();
  const std::uint64_t mapped = mapped_bytes();
  if (foreign.lock) foreign.lock();
  watch.child = ::fork();
  if (watch.child == 0) run_child(path, cpu_seconds, mapped, child_end);
  const int error = errno;
  ::close(child_end);
  char closed = 0;
  const Heard heard = watch.child > 0 ? hear(watch, closed) : Heard::kNothing;
  if (foreign.unlock) foreign.unlock();
  errno = error;
  return heard;
}

/// Has a child look through the file. Of `watch`, the child and where it answers are set here.
Outcome look_through(const std::string& path, std::uint64_t cpu_seconds, Watch watch) {
  int pipe_ends[2];
  if (::pipe2(pipe_ends, O_CLOEXEC) != 0) throw IoError(path, "make a pipe to open", errno);
  watch.answer = pipe_ends[0];
  Outcome outcome;
  outcome.heard = start_child(path.c_str(), cpu_seconds, pipe_ends[1], watch);
  const int fork_error = errno;
  if (outcome.heard == Heard::kByte) outcome.heard = hear(watch, outcome.verdict);
  ::close(pipe_ends[0]);
  if (watch.child < 0) throw IoError(path, "start a process that opens it first", fork_error);
  if (outcome.heard == Heard::kTooLate || outcome.heard == Heard::kAsleep)
    ::kill(watch.child, SIGKILL);
  while (::waitpid(watch.child, &outcome.status, 0) < 0 && errno == EINTR) {
  }
  return outcome;
}

std::string problem_of(const Outcome& outcome, const Limits& limits) {
  const std::string damaged = "is damaged or forged: the HDF5 library ";
  if (outcome.heard == Heard::kTooLate)
    return damaged + "takes more than " + std::to_string(limits.clock.count()) +
           " s to look through it";
  if (WIFSIGNALED(outcome.status) && WTERMSIG(outcome.status) == SIGXCPU)
    return damaged + "takes more than " + std::to_string(limits.cpu_seconds) +
           " s to look through it";
  if (outcome.verdict == static_cast<char>(Verdict::kHungry))
    return damaged + "wants more than 512 MiB to look through it";
  if (outcome.heard != Heard::kByte) return damaged + "crashes on it";
  return "";
}

std::uint64_t size_of(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 ? static_cast<std::uint64_t>(status.st_size) : 0;
}

/// Whether the library has the file open in this process already, for whomever.
bool is_open(const std::string& path) {
  struct stat wanted {};
  if (::stat(path.c_str(), &wanted) != 0) return false;
  const ssize_t count = H5Fget_obj_count(static_cast<hid_t>(H5F_OBJ_ALL), H5F_OBJ_FILE);
  std::vector<hid_t> files(static_cast<std::size_t>(std::max<ssize_t>(count, 0)));
  const ssize_t found =
      H5Fget_obj_ids(static_cast<hid_t>(H5F_OBJ_ALL), H5F_OBJ_FILE, files.size(), files.data());
  for (ssize_t i = 0; i < found; ++i) {
    char name[4096];
    struct stat open {};
    const ssize_t length = H5Fget_name(files[static_cast<std::size_t>(i)], name, sizeof name);
    if (length > 0 && ::stat(name, &open) == 0 && open.st_dev == wanted.st_dev &&
        open.st_ino == wanted.st_ino)
      return true;
  }
  return false;
}

}  // namespace

void lock_while_forking(ForeignLock foreign) { foreign_lock() = std::move(foreign); }

std::string probe(const std::string& path, ProbePatience patience) {
  if (is_open(path))
    return "";  // the child would have it open, too, in a state without its threads
  Limits limits{};
  limits.cpu_seconds = kLeastSeconds + size_of(path) / kBytesPerSecond;
  limits.clock = std::max(kLeastClock, std::chrono::seconds(2 * limits.cpu_seconds));
  Watch watch{
      .child = -1, .answer = -1, .end = Clock::now() + limits.clock, .patience = patience.first};
  for (;; watch.patience *= 2) {
    const Outcome outcome = look_through(path, limits.cpu_seconds, watch);
    if (outcome.heard != Heard::kAsleep) return problem_of(outcome, limits);
    // It sleeps where the disk does not answer, or where another thread of ours held a lock at the
    // fork that nobody gives back in the child: the address sanitizer's allocator has such. Then
    // another child has better luck.
    if (watch.patience >= patience.last) throw IoError(path, "look through", ETIMEDOUT);
  }
}

}  // namespace gramtile::hdf5
