#include <pthread.h>
#include <tbb/global_control.h>
#include <tbb/parallel_for.h>
#include <tbb/parallel_pipeline.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <utility>

#include "engine/parallel/executor.hpp"

namespace gramtile {
namespace {

std::atomic<bool> tbb_was_used = false, workers_are_lost = false;

/// A fork copies the thread that calls it, and no worker. oneTBB does not know: a run there has one
/// thread, and a lock that a worker held is never given back.
void watch_for_forks() {
  static const int watching =
      pthread_atfork(nullptr, nullptr, [] { workers_are_lost = tbb_was_used.load(); });
  static_cast<void>(watching);
  tbb_was_used = true;
}

/// Owns the items between fetch and deliver. oneTBB forgets the tokens in flight when a stage
/// throws, so they are plain pointers, and what they point to is freed here.
class LiveItems {
 public:
  PipelineItem* keep(std::unique_ptr<PipelineItem> item) {
    PipelineItem* const key = item.get();
    const std::lock_guard lock(mutex_);
    items_.emplace(key, std::move(item));
    return key;
  }
  void drop(PipelineItem* item) {
    std::unique_ptr<PipelineItem> dropped;  // destroyed outside of the lock
    const std::lock_guard lock(mutex_);
    const auto found = items_.find(item);
    dropped = std::move(found->second);
    items_.erase(found);
  }

 private:
  std::mutex mutex_;
  std::map<PipelineItem*, std::unique_ptr<PipelineItem>> items_;
};

class TbbExecutor : public Executor {
 public:
  explicit TbbExecutor(int num_threads)
      : workers_(tbb::global_control::max_allowed_parallelism, allowed_parallelism(num_threads)),
        arena_(num_threads > 0 ? num_threads : tbb::task_arena::automatic) {}

  int num_threads() const override { return arena_.max_concurrency(); }

  void run(const PipelineStages& stages, Index max_live) override {
    using tbb::filter_mode;
    LiveItems items;
    const auto fetch = tbb::make_filter<void, PipelineItem*>(
        filter_mode::serial_in_order, [&](tbb::flow_control& control) -> PipelineItem* {
          leave_if_abandoned();
          std::unique_ptr<PipelineItem> item = stages.fetch();
          if (item == nullptr) {
            control.stop();
            return nullptr;
          }
          return items.keep(std::move(item));
        });
    const auto compute = tbb::make_filter<PipelineItem*, PipelineItem*>(filter_mode::parallel,
                                                                        [&](PipelineItem* item) {
                                                                          stages.compute(*item);
                                                                          return item;
                                                                        });
    const auto deliver = tbb::make_filter<PipelineItem*, void>(filter_mode::serial_in_order,
                                                               [&](PipelineItem* item) {
                                                                 stages.deliver(*item);
                                                                 items.drop(item);
                                                               });
    arena_.execute([&] {
      tbb::parallel_pipeline(static_cast<std::size_t>(max_live), fetch & compute & deliver);
    });
  }

  void for_each(Index count, const std::function<void(Index)>& body) override {
    // Isolated: a thread that waits here must not start another tile, which would add to the live
    // ones and keep this one waiting. simple_partitioner with grain 1: bodies are large and
    // unequal.
    arena_.execute([&] {
      tbb::this_task_arena::isolate([&] {
        tbb::parallel_for(
            tbb::blocked_range<Index>(0, count, 1),
            [&](const tbb::blocked_range<Index>& range) {
              for (Index i = range.begin(); i < range.end(); ++i) {
                leave_if_abandoned();
                body(i);
              }
            },
            tbb::simple_partitioner());
      });
    });
  }

 private:
  static std::size_t allowed_parallelism(int num_threads) {
    return static_cast<std::size_t>(std::max(num_threads, tbb::this_task_arena::max_concurrency()));
  }

  // Without it oneTBB starts no more threads than the machine has, and warns on stderr.
  tbb::global_control workers_;
  tbb::task_arena arena_;
};

}  // namespace

std::unique_ptr<Executor> make_tbb_executor(int num_threads) {
  watch_for_forks();
  return std::make_unique<TbbExecutor>(num_threads);
}

std::unique_ptr<Executor> make_executor(int num_threads) {
#ifdef GRAMTILE_EXECUTOR_THREADS
  return make_thread_executor(num_threads);
#else
  return workers_are_lost ? make_thread_executor(num_threads) : make_tbb_executor(num_threads);
#endif
}

}  // namespace gramtile
