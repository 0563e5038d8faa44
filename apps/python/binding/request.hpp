// Requests from Python: dicts of plain values, sets of images, and functions to call back.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/stl/string.h>

#include <chrono>
#include <deque>
#include <optional>
#include <string>
#include <vector>

#include "apps/python/binding/arrays.hpp"
#include "engine/core/array_source.hpp"
#include "io/job/job_request.hpp"

namespace gramtile::python {

/// The value of `key`, or `fallback` where it is absent or None.
template <class T>
T get(const nanobind::dict& request, const char* key, T fallback) {
  if (!request.contains(key) || request[key].is_none()) return fallback;
  return nanobind::cast<T>(request[key]);
}

/// StartMode of the keys "resume" and "overwrite".
StartMode start_mode(const nanobind::dict& request);
DataType data_type(const nanobind::dict& request);

/// A function of Python's that is told things from threads of ours; None: nobody is. What it raises
/// is thrown. Lives no longer than the caller's reference to it.
class Callback {
 public:
  explicit Callback(nanobind::handle function) : function_(function) {}

  explicit operator bool() const { return !function_.is_none(); }
  /// Takes the interpreter's lock.
  template <class... Arguments>
  void operator()(const Arguments&... arguments) const {
    if (function_.is_none()) return;
    const nanobind::gil_scoped_acquire acquired;
    function_(arguments...);
  }

 private:
  nanobind::handle function_;
};

/// (done, total), told to a Callback no more often than people can read.
class Progress {
 public:
  explicit Progress(Callback callback) : callback_(callback) {}

  void tell(double done, double total) {
    const auto now = std::chrono::steady_clock::now();
    if (done < total && told_ && now - *told_ < std::chrono::milliseconds(100)) return;
    told_ = now;
    callback_(done, total);
  }

 private:
  Callback callback_;
  std::optional<std::chrono::steady_clock::time_point> told_;
};

/// A set of images: {"name", "role", "source" or "images", "labels", "label_source"}.
class RequestedSet {
 public:
  RequestedSet(const nanobind::dict& request, bool channels_last);

  /// With the images opened: looks at every pixel of an array. Without the interpreter's lock.
  JobSet open();

 private:
  JobSet set_;
  std::optional<ReadOnlyArray> array_;
  std::optional<ImageView> view_;
  std::optional<ArraySource> images_;
};

/// Of the request's list "sets"; they must outlive the job.
std::deque<RequestedSet> requested_sets(const nanobind::dict& request);

}  // namespace gramtile::python
