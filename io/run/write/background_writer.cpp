#include "io/run/write/background_writer.hpp"

#include <signal.h>

#include <chrono>
#include <utility>

#include "io/run/spec/content_hash.hpp"
#include "io/run/spec/tile_io.hpp"

namespace gramtile {
namespace {

/// Signals stay with the caller's threads: on some file systems one could interrupt a sync, which
/// is never repeated.
template <typename Body>
std::thread start_without_signals(const Body& body) {
  sigset_t all, before;
  sigfillset(&all);
  pthread_sigmask(SIG_SETMASK, &all, &before);
  std::thread thread(body);
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  return thread;
}

}  // namespace

BackgroundWriter::BackgroundWriter(const RunSpec& spec, const TileMap& map, File& file,
                                   Journal& journal, const RunOptions& options,
                                   std::function<void(const JournalRecord&)> on_written)
    : spec_(spec),
      map_(map),
      file_(file),
      journal_(journal),
      options_(options),
      on_written_(std::move(on_written)),
      thread_([this] { run(); }) {}

BackgroundWriter::~BackgroundWriter() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    stop_wanted_ = true;
    queue_.clear();
  }
  changed_.notify_all();
  thread_.join();
}

void BackgroundWriter::rethrow_failure() {
  if (failure_) std::rethrow_exception(failure_);
}

void BackgroundWriter::push(Index tile, std::vector<std::byte> packed) {
  std::unique_lock lock(mutex_);
  const std::size_t bytes = packed.size();
  changed_.wait(lock, [&] {
    return failure_ || queue_.empty() || queued_bytes_ + bytes <= options_.queue_bytes;
  });
  rethrow_failure();
  queue_.push_back({tile, std::move(packed)});
  queued_bytes_ += bytes;
  lock.unlock();
  changed_.notify_all();
}

void BackgroundWriter::commit() {
  std::unique_lock lock(mutex_);
  commit_wanted_ = true;
  changed_.notify_all();
  changed_.wait(lock, [&] { return failure_ || (!commit_wanted_ && queue_.empty() && !busy_); });
  rethrow_failure();
}

void BackgroundWriter::stop() {
  commit();
  {
    const std::lock_guard lock(mutex_);
    stop_wanted_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void BackgroundWriter::write(const Item& item) {
  const JournalRecord record{item.tile, hash64(item.packed), journal_.instruction_set()};
  write_packed(spec_, map_, item.tile, item.packed, file_);
  pending_.push_back(record);
  on_written_(record);
}

// Data first, and durable, then the journal that vouches for it.
void BackgroundWriter::commit_pending() {
  if (pending_.empty()) return;
  if (options_.before_commit) options_.before_commit();
  file_.sync_data();
  journal_.append(pending_);
  pending_.clear();
}

void BackgroundWriter::run() {
  using Clock = std::chrono::steady_clock;
  const auto period = std::chrono::duration_cast<Clock::duration>(
      std::chrono::duration<double>(options_.seconds_per_commit));
  auto next_commit = Clock::now() + period;
  std::unique_lock lock(mutex_);
  const auto has_work = [&] { return stop_wanted_ || !queue_.empty() || commit_wanted_; };
  while (true) {
    if (pending_.empty()) {
      changed_.wait(lock, has_work);
    } else {
      changed_.wait_until(lock, next_commit, has_work);
    }
    if (stop_wanted_) return;
    const bool idle_commit = queue_.empty() && commit_wanted_;
    Item item{-1, {}};
    if (!queue_.empty()) {
      item = std::move(queue_.front());
      queue_.pop_front();
      queued_bytes_ -= item.packed.size();
    }
    busy_ = true;
    lock.unlock();
    changed_.notify_all();
    std::exception_ptr failure;
    try {
      if (item.tile >= 0) {
        if (pending_.empty()) next_commit = Clock::now() + period;
        write(item);
      }
      const bool due = Clock::now() >= next_commit ||
                       static_cast<Index>(pending_.size()) >= options_.tiles_per_commit;
      if (idle_commit || due) commit_pending();
    } catch (...) {
      failure = std::current_exception();
    }
    lock.lock();
    busy_ = false;
    // Cleared only by a commit that began with an empty queue; a push in between keeps the wish.
    if (idle_commit && queue_.empty()) commit_wanted_ = false;
    if (failure) {
      failure_ = failure;
      changed_.notify_all();
      return;
    }
    changed_.notify_all();
  }
}

}  // namespace gramtile
