// The one thread that writes tiles and commits them, behind a queue bounded in bytes.
//
//   push → queue → pwrite tile and mirror → pending records → commit: sync data, append records,
//   sync
//
// After a failure nothing more is written or committed: a sync that failed once cannot be trusted
// the second time. The failure is rethrown to whoever calls next.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

#include "io/run/spec/tile_map.hpp"
#include "io/run/write/journal.hpp"
#include "io/run/write/run_options.hpp"

namespace gramtile {

class BackgroundWriter {
 public:
  /// Everything passed by reference must outlive the writer. `on_written` is told every tile, from
  /// the thread; after stop() what it noted may be read.
  BackgroundWriter(const RunSpec& spec, const TileMap& map, File& file, Journal& journal,
                   const RunOptions& options, std::function<void(const JournalRecord&)> on_written);
  /// Stops at once; what is queued is dropped, what is not committed stays uncommitted.
  ~BackgroundWriter();

  /// Waits while the queue is full.
  void push(Index tile, std::vector<std::byte> packed);
  /// Returns when everything pushed before is committed.
  void commit();
  /// commit(), then ends the thread.
  void stop();

 private:
  struct Item {
    Index tile;
    std::vector<std::byte> packed;
  };

  void run();
  void write(const Item& item);
  void commit_pending();
  void rethrow_failure();  // requires mutex_

  const RunSpec& spec_;
  const TileMap& map_;
  File& file_;
  Journal& journal_;
  const RunOptions options_;
  const std::function<void(const JournalRecord&)> on_written_;

  std::mutex mutex_;  // guards everything down to failure_
  std::condition_variable changed_;
  std::deque<Item> queue_;
  std::size_t queued_bytes_ = 0;
  bool busy_ = false;  // an item is being written, or a commit made
  bool commit_wanted_ = false;
  bool stop_wanted_ = false;
  std::exception_ptr failure_;

  // Of the thread alone, until it has ended.
  std::vector<JournalRecord> pending_;

  std::thread thread_;  // last: starts when everything else is there
};

}  // namespace gramtile
