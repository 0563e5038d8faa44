#include <tbb/parallel_for.h>
#include <tbb/parallel_pipeline.h>
#include <tbb/task_arena.h>

#include <utility>

#include "engine/schedule/executor.hpp"

namespace gramtile {
namespace {

class TbbExecutor : public Executor {
 public:
  explicit TbbExecutor(int num_threads)
      : arena_(num_threads > 0 ? num_threads : tbb::task_arena::automatic) {}

  int num_threads() const override { return arena_.max_concurrency(); }

  void run(const PipelineStages& stages, Index max_live) override {
    using tbb::filter_mode;
    using Token = std::shared_ptr<PipelineItem>;  // tokens in flight when a stage throws are freed
    const auto fetch = tbb::make_filter<void, Token>(filter_mode::serial_in_order,
                                                     [&](tbb::flow_control& control) -> Token {
                                                       Token item = stages.fetch();
                                                       if (item == nullptr) control.stop();
                                                       return item;
                                                     });
    const auto compute = tbb::make_filter<Token, Token>(filter_mode::parallel, [&](Token item) {
      stages.compute(*item);
      return item;
    });
    const auto deliver = tbb::make_filter<Token, void>(
        filter_mode::serial_in_order, [&](const Token& item) { stages.deliver(*item); });
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
              for (Index i = range.begin(); i < range.end(); ++i) body(i);
            },
            tbb::simple_partitioner());
      });
    });
  }

 private:
  tbb::task_arena arena_;
};

}  // namespace

std::unique_ptr<Executor> make_tbb_executor(int num_threads) {
  return std::make_unique<TbbExecutor>(num_threads);
}

std::unique_ptr<Executor> make_executor(int num_threads) {
#ifdef GRAMTILE_EXECUTOR_THREADS
  return make_thread_executor(num_threads);
#else
  return make_tbb_executor(num_threads);
#endif
}

}  // namespace gramtile
