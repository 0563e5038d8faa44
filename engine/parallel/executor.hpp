// Who runs the work: oneTBB, or plain std::jthread (for the thread sanitizer, which does not know
// Debian's oneTBB). Both keep at most `max_live` items between fetch and deliver, call fetch and
// deliver from one thread at a time and in order, and compute from many.
#pragma once

#include <functional>
#include <memory>

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
};

/// `num_threads` 0: every hardware thread.
std::unique_ptr<Executor> make_tbb_executor(int num_threads);
std::unique_ptr<Executor> make_thread_executor(int num_threads);
/// The one chosen when the library was built (CMake's GRAMTILE_EXECUTOR).
std::unique_ptr<Executor> make_executor(int num_threads);

}  // namespace gramtile
