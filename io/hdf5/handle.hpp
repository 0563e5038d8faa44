// Inside of the HDF5 seam, for its sources only: identifiers that close themselves, the library's
// error stack silenced and turned into text, and the lock that makes the library safe to share.
//
// HDF5 is thread-safe only where it was built so: Debian's serial one is, but for its high-level
// part. Every public call of this folder takes `library_lock()`, so data sets and upstream files
// may be read from different threads; one object still belongs to one thread at a time.
#pragma once

#include <hdf5.h>

#include <mutex>
#include <string>
#include <utility>

namespace gramtile::hdf5 {

/// Holds the library while it lives.
class LibraryLock {
 public:
  LibraryLock();
  ~LibraryLock();
  LibraryLock(const LibraryLock&) = delete;
  LibraryLock& operator=(const LibraryLock&) = delete;

 private:
  std::unique_lock<std::recursive_mutex> own_;
  unsigned plugins_ = 0;  ///< what others of the process had set
};

/// Serialises our use of the library. Meanwhile it prints no errors and loads no plugins; others of
/// the process that use it, too (h5py), find it as they left it.
inline LibraryLock library_lock() { return {}; }

/// For the only thread of a process that was forked while the lock was held: library_lock() locks
/// nothing from now on. (The mutex belongs to a thread number that the child does not have.)
void forget_library_lock();

/// The innermost message of the library's error stack, "" when there is none; clears the stack.
std::string take_library_error();

/// An HDF5 identifier and the call that closes it. Empty when negative.
class Handle {
 public:
  using Close = herr_t (*)(hid_t);

  Handle() = default;
  Handle(hid_t id, Close close) : id_(id), close_(close) {}
  Handle(Handle&& other) noexcept
      : id_(std::exchange(other.id_, H5I_INVALID_HID)), close_(other.close_) {}
  Handle& operator=(Handle&& other) noexcept {
    std::swap(id_, other.id_);
    std::swap(close_, other.close_);
    return *this;
  }
  ~Handle();

  hid_t id() const { return id_; }
  bool valid() const { return id_ >= 0; }

 private:
  hid_t id_ = H5I_INVALID_HID;
  Close close_ = nullptr;
};

/// Opens a file for reading, without a lock on it; empty where the library refuses. A process that
/// has the file open already, as h5py may have it, has to open it with the same locking and close
/// degree: then those are taken.
Handle open_to_read(const char* path);

}  // namespace gramtile::hdf5
