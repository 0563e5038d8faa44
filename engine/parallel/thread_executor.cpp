// The tile pipeline on plain threads. Every worker takes the next item under the lock (fetch is
// serial), computes it alone, and waits for its turn to deliver. Items inside a tile are not split.
#include <condition_variable>
#include <exception>
#include <map>
#include <mutex>
#include <thread>
#include <vector>

#include "engine/core/errors.hpp"
#include "engine/parallel/executor.hpp"

namespace gramtile {
namespace {

/// State shared by the workers of one run; every member is guarded by `mutex`.
struct SharedRun {
  std::mutex mutex;
  std::condition_variable changed;
  Index num_fetched = 0, num_delivered = 0;
  bool exhausted = false;
  std::exception_ptr error;
};

class ThreadExecutor : public Executor {
 public:
  explicit ThreadExecutor(int num_threads)
      : num_threads_(num_threads > 0 ? num_threads
                                     : static_cast<int>(std::thread::hardware_concurrency())) {
    if (num_threads_ < 1) num_threads_ = 1;
  }

  int num_threads() const override { return num_threads_; }

  void run(const PipelineStages& stages, Index max_live) override {
    SharedRun shared;
    {
      std::vector<std::jthread> workers;
      for (int i = 0; i < num_threads_; ++i) {
        workers.emplace_back([&] { work(stages, max_live, shared); });
      }
    }
    if (shared.error) std::rethrow_exception(shared.error);
  }

  void for_each(Index count, const std::function<void(Index)>& body) override {
    for (Index i = 0; i < count; ++i) {
      leave_if_abandoned();
      body(i);
    }
  }

 private:
  void work(const PipelineStages& stages, Index max_live, SharedRun& shared) const {
    try {
      while (work_on_one(stages, max_live, shared)) {
      }
    } catch (...) {
      const std::lock_guard lock(shared.mutex);
      if (!shared.error) shared.error = std::current_exception();
      shared.changed.notify_all();
    }
  }

  bool work_on_one(const PipelineStages& stages, Index max_live, SharedRun& shared) const {
    leave_if_abandoned();
    std::unique_ptr<PipelineItem> item;
    Index number = 0;
    {
      std::unique_lock lock(shared.mutex);
      shared.changed.wait(lock, [&] {
        return shared.error || shared.exhausted ||
               shared.num_fetched - shared.num_delivered < max_live;
      });
      if (shared.error || shared.exhausted) return false;
      item = stages.fetch();
      if (item == nullptr) {
        shared.exhausted = true;
        shared.changed.notify_all();
        return false;
      }
      number = shared.num_fetched++;
    }
    stages.compute(*item);
    std::unique_lock lock(shared.mutex);
    shared.changed.wait(lock, [&] { return shared.error || shared.num_delivered == number; });
    if (shared.error) return false;
    stages.deliver(*item);
    ++shared.num_delivered;
    shared.changed.notify_all();
    return true;
  }

  int num_threads_;
};

}  // namespace

void Executor::leave() {
  throw Error(ErrorKind::kInterrupted, "interrupted: what was not finished is given up");
}

std::unique_ptr<Executor> make_thread_executor(int num_threads) {
  return std::make_unique<ThreadExecutor>(num_threads);
}

}  // namespace gramtile
