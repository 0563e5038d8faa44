// Who runs the work: oneTBB, or plain std::jthread (for the thread sanitizer, which does not know
// Debian's oneTBB). Both keep at most `max_live` items between fetch and deliver, call fetch and
// deliver from one thread at a time and in order, and compute from many.
#pragma once

#include <functional>
#include <memory>
#include <stop_token>
#include <utility>

#include "engine/core/index.hpp"

namespace gramtile {

/// One item of the pipeline, owned by it between fetch and deliver.
struct PipelineItem {
  virtual ~PipelineItem() = default;
};

struct PipelineStages {
  std::function<std::unique_ptr<PipelineItem>()> fetch;  ///< nullptr: no more items
  std::function<void(PipelineItem&)> compute;
  std::function<void(PipelineItem&)> deliver;
};

class Executor {
 public:
  virtual ~Executor() = default;

  virtual int num_threads() const = 0;
  /// Runs the stages until fetch returns nullptr. The first exception of a stage ends the run and
  /// is rethrown.
  virtual void run(const PipelineStages& stages, Index max_live) = 0;
  /// body(0) … body(count − 1), in parallel where the executor can. May be called from a stage.
  virtual void for_each(Index count, const std::function<void(Index)>& body) = 0;

  /// From here on, work is given up when `abandon` is requested: for_each() and run() throw
  /// Error(kInterrupted) in place of another body or item.
  void abandon_on(std::stop_token abandon) { abandon_ = std::move(abandon); }
  /// For bodies that take long: throws Error(kInterrupted) when the work is to be given up.
  void leave_if_abandoned() const {
    if (abandon_.stop_requested()) leave();
  }

 private:
  [[noreturn]] static void leave();

  std::stop_token abandon_;
};

/// `num_threads` 0: every hardware thread.
std::unique_ptr<Executor> make_tbb_executor(int num_threads);
std::unique_ptr<Executor> make_thread_executor(int num_threads);
/// The one chosen when the library was built (CMake's GRAMTILE_EXECUTOR); in a process that was
/// forked from one which had used oneTBB, whose threads do not come along, the plain threads.
std::unique_ptr<Executor> make_executor(int num_threads);

}  // namespace gramtile
