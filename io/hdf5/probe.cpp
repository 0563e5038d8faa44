#include "io/hdf5/probe.hpp"

#include <fcntl.h>
#include <malloc.h>
#include <poll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <fstream>
#include <new>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "engine/core/errors.hpp"
#include "io/hdf5/attributes.hpp"
#include "io/hdf5/chunk_guard.hpp"
#include "io/hdf5/handle.hpp"
#include "io/hdf5/sharing.hpp"
#include "io/hdf5/storage.hpp"

namespace gramtile::hdf5 {
namespace {

constexpr std::uint64_t kMemoryBytes = std::uint64_t{512} << 20;
constexpr std::uint64_t kBytesPerSecond = 100'000'000;
constexpr std::uint64_t kLeastSeconds = 5, kLeastClockSeconds = 60;
constexpr hssize_t kReadWhole = 1 << 17;  // elements
constexpr hsize_t kUnpackedBytes = hsize_t{16} << 20;

enum class Verdict : char { kFine = 'f', kRefused = 'r', kHungry = 'h' };

// --- the child ----------------------------------------------------------------------------------

bool ran_out_of_memory = false;

herr_t look_for_hunger(unsigned, const H5E_error2_t* error, void*) {
  if (error->maj_num == H5E_RESOURCE || error->min_num == H5E_NOSPACE ||
      error->min_num == H5E_CANTALLOC)
    ran_out_of_memory = true;
  return 0;
}

herr_t on_library_error(hid_t stack, void*) {
  return H5Ewalk2(stack, H5E_WALK_UPWARD, look_for_hunger, nullptr);
}

herr_t visit_attribute(hid_t object, const char* name, const H5A_info_t*, void*) {
  read_string_attribute(object, name);
  read_number_attribute(object, name);
  return 0;
}

/// Reads `count` elements from `start` on along every axis, as far as the guards let it.
void read_box(hid_t dataset, hid_t space, std::size_t element_bytes,
              const std::vector<Range>& ranges) {
  std::vector<hsize_t> start, count;
  hsize_t total = 1;
  for (const Range range : ranges) {
    start.push_back(static_cast<hsize_t>(range.start));
    count.push_back(static_cast<hsize_t>(range.size()));
    total *= count.back();
  }
  if (!chunk_problem(dataset, element_bytes, ranges).empty()) return;
  const Handle memory(H5Screate_simple(1, &total, nullptr), H5Sclose);
  if (H5Sselect_hyperslab(space, H5S_SELECT_SET, start.data(), nullptr, count.data(), nullptr) < 0)
    return;
  std::vector<double> values(total);
  H5Dread(dataset, H5T_NATIVE_DOUBLE, memory.id(), space, H5P_DEFAULT, values.data());
}

/// Chunks that are charged to --memory before they are read (apps/common/job.cpp) are not read
/// here.
bool unpacks_to_much(hid_t dataset, std::size_t element_bytes, std::size_t rank) {
  const Handle creation(H5Dget_create_plist(dataset), H5Pclose);
  if (H5Pget_layout(creation.id()) != H5D_CHUNKED || H5Pget_nfilters(creation.id()) == 0)
    return false;
  std::vector<hsize_t> chunk(rank);
  H5Pget_chunk(creation.id(), static_cast<int>(rank), chunk.data());
  hsize_t bytes = element_bytes;  // at most 1 GiB, see storage.hpp
  for (const hsize_t extent : chunk) bytes *= extent;
  return bytes > kUnpackedBytes;
}

void read_ends(hid_t dataset, hid_t type, hid_t space) {
  const int rank = H5Sget_simple_extent_ndims(space);
  const hssize_t count = H5Sget_simple_extent_npoints(space);
  if (rank < 1 || count <= 0) return;
  std::vector<hsize_t> extents(static_cast<std::size_t>(rank));
  H5Sget_simple_extent_dims(space, extents.data(), nullptr);
  std::vector<Range> whole, first, last;
  for (const hsize_t extent : extents) {
    const auto n = static_cast<Index>(extent);
    if (n < 1) return;
    whole.push_back({0, n});
    first.push_back({0, 1});
    last.push_back({n - 1, n});
  }
  const std::size_t element_bytes = H5Tget_size(type);
  if (unpacks_to_much(dataset, element_bytes, extents.size())) return;
  if (count <= kReadWhole) {
    read_box(dataset, space, element_bytes, whole);
  } else {
    read_box(dataset, space, element_bytes, first);
    read_box(dataset, space, element_bytes, last);
  }
}

void visit_dataset(hid_t dataset) {
  // Before anything asks for the extents: for those of a virtual dataset the library opens the
  // files that it names, whatever they are.
  const Handle creation(H5Dget_create_plist(dataset), H5Pclose);
  if (!stored_here_problem(creation.id()).empty()) return;
  const Handle type(H5Dget_type(dataset), H5Tclose);
  const Handle space(H5Dget_space(dataset), H5Sclose);
  const int rank = H5Sget_simple_extent_ndims(space.id());
  if (rank < 0) return;
  H5Dget_storage_size(dataset);  // walks the index of chunks
  const H5T_class_t kind = H5Tget_class(type.id());
  const bool is_number = kind == H5T_INTEGER || kind == H5T_FLOAT;
  const std::string problem =
      storage_problem(creation.id(), H5Tget_size(type.id()), static_cast<std::size_t>(rank));
  if (is_number && problem.empty()) read_ends(dataset, type.id(), space.id());
}

/// Goes on where an object cannot be opened, as whoever asks for another one does: H5Ovisit() would
/// end there, and what it has not come to would be opened unseen.
class ProbingWalk {
 public:
  void visit(hid_t object) {
    H5O_info_t info;
    if (H5Oget_info2(object, &info, H5O_INFO_BASIC) < 0) return;
    if (!seen_.insert(info.addr).second) return;
    H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, nullptr, visit_attribute, nullptr);
    if (info.type == H5O_TYPE_DATASET) visit_dataset(object);
    if (info.type != H5O_TYPE_GROUP) return;
    std::vector<std::string> names;
    H5Literate(object, H5_INDEX_NAME, H5_ITER_INC, nullptr, add_name, &names);
    for (const std::string& name : names) {
      const Handle child(H5Oopen(object, name.c_str(), H5P_DEFAULT), H5Oclose);
      if (child.valid()) visit(child.id());
    }
  }

 private:
  /// Of hard links: others may lead to files that nobody has allowed to be opened.
  static herr_t add_name(hid_t, const char* name, const H5L_info_t* link, void* names) {
    if (link->type == H5L_TYPE_HARD)
      static_cast<std::vector<std::string>*>(names)->emplace_back(name);
    return 0;
  }

  std::set<haddr_t> seen_;
};

Verdict walk(const char* path) {
  try {
    H5Eset_auto2(H5E_DEFAULT, on_library_error, nullptr);
    const Handle file = open_to_read(path);
    const Handle root(file.valid() ? H5Gopen2(file.id(), "/", H5P_DEFAULT) : -1, H5Gclose);
    if (root.valid()) ProbingWalk().visit(root.id());
    if (ran_out_of_memory) return Verdict::kHungry;
    return file.valid() ? Verdict::kFine : Verdict::kRefused;
  } catch (const std::bad_alloc&) {
    return Verdict::kHungry;
  }
}

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

/// The child's first byte says that it has none of our files any more.
void wait_until_closed(int answer) {
  char closed = 0;
  while (::read(answer, &closed, 1) < 0 && errno == EINTR) {
  }
}

/// Forks for run_child(); returns when the child holds none of our files.
pid_t start_child(const char* path, std::uint64_t cpu_seconds, const int (&pipe_ends)[2]) {
  const ForeignLock& foreign = foreign_lock();
  const std::uint64_t mapped = mapped_bytes();
  if (foreign.lock) foreign.lock();
  const pid_t child = ::fork();
  if (child == 0) run_child(path, cpu_seconds, mapped, pipe_ends[1]);
  const int error = errno;
  ::close(pipe_ends[1]);
  if (child > 0) wait_until_closed(pipe_ends[0]);
  if (foreign.unlock) foreign.unlock();
  errno = error;
  return child;
}

struct Outcome {
  bool timed_out = false;
  char verdict = 0;  ///< 0: the child ended without one
};

Outcome wait_for(int answer, std::chrono::seconds most) {
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + most;
  Outcome outcome;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(end - Clock::now());
    if (left.count() <= 0) {
      outcome.timed_out = true;
      return outcome;
    }
    pollfd wanted{.fd = answer, .events = POLLIN, .revents = 0};
    if (::poll(&wanted, 1, static_cast<int>(std::min<long>(left.count(), 1'000'000))) <= 0)
      continue;  // interrupted, or time is up
    if (::read(answer, &outcome.verdict, 1) >= 0) return outcome;
    if (errno != EINTR) return outcome;
  }
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

std::string probe(const std::string& path) {
  if (is_open(path))
    return "";  // the child would have it open, too, in a state without its threads
  const std::uint64_t cpu_seconds = kLeastSeconds + size_of(path) / kBytesPerSecond;
  int pipe_ends[2];
  if (::pipe2(pipe_ends, O_CLOEXEC) != 0) throw IoError(path, "make a pipe to open", errno);
  const pid_t child = start_child(path.c_str(), cpu_seconds, pipe_ends);
  const int fork_error = errno;
  Outcome outcome;
  int status = 0;
  if (child > 0) {
    outcome =
        wait_for(pipe_ends[0], std::chrono::seconds(std::max(kLeastClockSeconds, 2 * cpu_seconds)));
    if (outcome.timed_out) ::kill(child, SIGKILL);
    while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
    }
  }
  ::close(pipe_ends[0]);
  if (child < 0) throw IoError(path, "start a process that opens it first", fork_error);
  const bool out_of_time =
      outcome.timed_out || (WIFSIGNALED(status) && WTERMSIG(status) == SIGXCPU);
  if (out_of_time)
    return "is damaged or forged: the HDF5 library takes more than " + std::to_string(cpu_seconds) +
           " s to look through it";
  if (outcome.verdict == static_cast<char>(Verdict::kHungry))
    return "is damaged or forged: the HDF5 library wants more than 512 MiB to look through it";
  if (outcome.verdict == 0) return "is damaged or forged: the HDF5 library crashes on it";
  return "";
}

}  // namespace gramtile::hdf5
