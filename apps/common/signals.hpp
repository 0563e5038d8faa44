// Signals as a request to stop: Ctrl-C and SIGTERM, and what a cluster sends before its limit
// (SIGUSR1, SIGUSR2, SIGXCPU) or a terminal that goes away (SIGHUP). The first one asks the run to
// finish the tiles in hand and commit. A second Ctrl-C or SIGTERM ends the process at once; the
// others may come again and again (SIGXCPU comes every second).
#pragma once

#include <atomic>
#include <stop_token>
#include <thread>

namespace gramtile::apps {

/// Turns these signals into a stop request while it lives. Construct it before any other
/// thread: the signals are blocked in every thread and taken by one that waits for them, so nothing
/// has to be async-signal-safe. What a thread gets that was there before, it passes on. At most one
/// at a time.
class StopSignals {
 public:
  StopSignals();
  ~StopSignals();
  StopSignals(const StopSignals&) = delete;
  StopSignals& operator=(const StopSignals&) = delete;

  std::stop_token token() const { return stop_.get_token(); }
  /// Number of the first signal that came, or 0.
  int received() const { return received_; }

 private:
  void wait();

  std::stop_source stop_;
  std::atomic<int> received_ = 0;
  std::atomic<bool> finished_ = false;
  std::thread waiter_;
};

}  // namespace gramtile::apps
