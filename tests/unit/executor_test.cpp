// What the tile pipeline relies on, for both executors: order, one fetch and one delivery at a
// time, a bound on live items, exceptions.
#include "engine/parallel/executor.hpp"

#include <doctest/doctest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace gramtile::executor_test {
namespace {

using Make = std::unique_ptr<Executor> (*)(int);
// The thread sanitizer does not know Debian's oneTBB.
#ifdef __SANITIZE_THREAD__
constexpr Make kExecutors[] = {&make_thread_executor};
#else
constexpr Make kExecutors[] = {&make_tbb_executor, &make_thread_executor};
#endif

std::atomic<int> num_items = 0;  // alive

struct Item : PipelineItem {
  explicit Item(int number_) : number(number_) { ++num_items; }
  ~Item() override { --num_items; }
  int number;
};

int number_of(const PipelineItem& item) { return static_cast<const Item&>(item).number; }

/// Notes when two threads are inside at once.
class Alone {
 public:
  void enter() {
    if (inside_.exchange(true)) violated = true;
  }
  void leave() { inside_ = false; }
  std::atomic<bool> violated = false;

 private:
  std::atomic<bool> inside_ = false;
};

/// A pipeline of `count` items of unequal length that notes what happens.
struct Recorder {
  explicit Recorder(int count_) : count(count_) {}

  PipelineStages stages() {
    return {.fetch = [this]() -> std::unique_ptr<PipelineItem> {
              fetching.enter();
              std::unique_ptr<PipelineItem> item;
              if (next < count) {
                item = std::make_unique<Item>(next++);
                const int now = ++live;
                if (now > most_live) most_live = now;  // fetch is serial
              }
              fetching.leave();
              return item;
            },
            .compute =
                [this](PipelineItem& item) {
                  const int number = number_of(item);
                  if (number == throw_at)
                    throw std::runtime_error("item " + std::to_string(number));
                  std::this_thread::sleep_for(std::chrono::microseconds(number * 7919 % 400));
                  ++num_computed;
                },
            .deliver =
                [this](PipelineItem& item) {
                  delivering.enter();
                  delivered.push_back(number_of(item));
                  --live;
                  delivering.leave();
                }};
  }

  int count, next = 0;
  int throw_at = -1;
  std::atomic<int> live = 0, num_computed = 0;
  int most_live = 0;
  std::vector<int> delivered;
  Alone fetching, delivering;
};

TEST_CASE("items are delivered in order, one at a time, and every one") {
  for (const Make make : kExecutors) {
    for (const int num_threads : {1, 2, 5}) {
      const auto executor = make(num_threads);
      CHECK(executor->num_threads() == num_threads);
      Recorder recorder(100);
      executor->run(recorder.stages(), 6);
      REQUIRE(recorder.delivered.size() == 100);
      for (int i = 0; i < 100; ++i) REQUIRE(recorder.delivered[static_cast<std::size_t>(i)] == i);
      CHECK(recorder.num_computed == 100);
      CHECK_FALSE(recorder.fetching.violated);
      CHECK_FALSE(recorder.delivering.violated);
    }
  }
}

TEST_CASE("never more items are alive than max_live") {
  for (const Make make : kExecutors) {
    const auto executor = make(4);
    for (const Index max_live : {1, 2, 3, 7}) {
      Recorder recorder(60);
      executor->run(recorder.stages(), max_live);
      CHECK(recorder.delivered.size() == 60);
      CHECK(recorder.most_live <= max_live);
    }
  }
}

TEST_CASE("a run without items ends") {
  for (const Make make : kExecutors) {
    Recorder recorder(0);
    make(3)->run(recorder.stages(), 2);
    CHECK(recorder.delivered.empty());
  }
}

TEST_CASE("an exception in compute ends the run: what was before it may arrive, nothing after") {
  for (const Make make : kExecutors) {
    const auto executor = make(3);
    Recorder recorder(200);
    recorder.throw_at = 20;
    CHECK_THROWS_WITH_AS(executor->run(recorder.stages(), 4), "item 20", std::runtime_error);
    CHECK(recorder.delivered.size() <= 20);
    for (std::size_t i = 0; i < recorder.delivered.size(); ++i) {
      CHECK(recorder.delivered[i] == static_cast<int>(i));
    }
    CHECK(num_items == 0);
    // The executor is as good as new.
    Recorder again(10);
    executor->run(again.stages(), 4);
    CHECK(again.delivered.size() == 10);
  }
}

TEST_CASE("exceptions in fetch and deliver are rethrown and no item is leaked") {
  for (const Make make : kExecutors) {
    Recorder recorder(50);
    PipelineStages stages = recorder.stages();
    stages.deliver = [](PipelineItem& item) {
      if (number_of(item) == 5) throw std::invalid_argument("deliver");
    };
    CHECK_THROWS_WITH_AS(make(3)->run(stages, 4), "deliver", std::invalid_argument);
    Recorder second(50);
    stages = second.stages();
    const auto fetch = stages.fetch;
    stages.fetch = [&] {
      if (second.next == 7) throw std::out_of_range("fetch");
      return fetch();
    };
    CHECK_THROWS_WITH_AS(make(3)->run(stages, 4), "fetch", std::out_of_range);
    CHECK(num_items == 0);
  }
}

TEST_CASE("for_each visits every index once, also from within a stage") {
  for (const Make make : kExecutors) {
    const auto executor = make(4);
    std::vector<std::atomic<int>> visits(500);
    executor->for_each(500, [&](Index i) { ++visits[static_cast<std::size_t>(i)]; });
    Recorder recorder(20);
    PipelineStages stages = recorder.stages();
    stages.compute = [&](PipelineItem&) {
      executor->for_each(500, [&](Index i) { ++visits[static_cast<std::size_t>(i)]; });
    };
    executor->run(stages, 3);
    for (const std::atomic<int>& count : visits) REQUIRE(count == 21);
  }
}

TEST_CASE("an exception in for_each leaves it, also through a stage") {
  for (const Make make : kExecutors) {
    const auto executor = make(4);
    const auto body = [](Index i) {
      if (i == 33) throw std::runtime_error("body");
    };
    CHECK_THROWS_WITH_AS(executor->for_each(100, body), "body", std::runtime_error);
    Recorder recorder(20);
    PipelineStages stages = recorder.stages();
    stages.compute = [&](PipelineItem&) { executor->for_each(100, body); };
    CHECK_THROWS_WITH_AS(executor->run(stages, 3), "body", std::runtime_error);
    CHECK(num_items == 0);
  }
}

}  // namespace
}  // namespace gramtile::executor_test
