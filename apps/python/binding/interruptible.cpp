#include "apps/python/binding/interruptible.hpp"

#include <nanobind/nanobind.h>

#include <chrono>
#include <condition_variable>
#include <exception>
#include <mutex>
#include <thread>

namespace gramtile::python {
namespace {

namespace nb = nanobind;

constexpr std::chrono::milliseconds kLookEvery(30);

bool on_main_thread() {
  const nb::module_ threading = nb::module_::import_("threading");
  return threading.attr("current_thread")().is(threading.attr("main_thread")());
}

/// Work on a thread of its own, and whether it has ended.
class Worker {
 public:
  explicit Worker(const std::function<void(std::stop_token)>& work)
      : thread_([this, &work](std::stop_token stop) {
          try {
            work(std::move(stop));
          } catch (...) {
            error_ = std::current_exception();
          }
          const std::lock_guard lock(mutex_);
          ended_ = true;
          changed_.notify_all();
        }) {}

  /// Whether it ended within `time`.
  bool ends_within(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return changed_.wait_for(lock, time, [this] { return ended_; });
  }

  /// Waits for the end, and throws what the work threw.
  void join() {
    thread_.join();
    if (error_) std::rethrow_exception(error_);
  }

  /// Asks the work to stop and waits for its end.
  void stop() {
    thread_.request_stop();
    thread_.join();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  bool ended_ = false;
  std::exception_ptr error_;
  std::jthread thread_;  // last: it uses the others
};

}  // namespace

void run_interruptibly(const std::function<void(std::stop_token)>& work) {
  const bool can_be_interrupted = on_main_thread();
  const nb::gil_scoped_release released;
  if (!can_be_interrupted) return work({});
  Worker worker(work);
  while (!worker.ends_within(kLookEvery)) {
    const nb::gil_scoped_acquire acquired;
    if (PyErr_CheckSignals() == 0) continue;
    nb::python_error interruption;  // takes Python's error, so that the work may use Python
    const nb::gil_scoped_release released_again;
    worker.stop();
    throw interruption;
  }
  worker.join();
}

}  // namespace gramtile::python
