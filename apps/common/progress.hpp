// How far a run is: on a terminal one line that is rewritten, elsewhere a plain line every ten
// seconds, with --quiet nothing. Runs shorter than two seconds show nothing.
//
// Called from one thread at a time (the one that delivers tiles).
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "engine/core/index.hpp"

namespace gramtile::apps {

enum class ProgressStyle { kNone, kLines, kTerminal };

/// kNone with `quiet`; otherwise by what stderr is.
ProgressStyle progress_style(bool quiet);

/// When there is something to be said, and where: what all kinds of progress share.
class StatusLine {
 public:
  /// Tests bring a clock [s] and a place for the text of their own.
  using Clock = std::function<double()>;
  using Write = std::function<void(std::string_view)>;

  explicit StatusLine(ProgressStyle style);
  StatusLine(ProgressStyle style, Clock clock, Write write);
  ~StatusLine();
  StatusLine(const StatusLine&) = delete;
  StatusLine& operator=(const StatusLine&) = delete;

  /// Seconds since the start, when it is time for another line.
  std::optional<double> due() const;
  /// Since the start.
  double seconds() const { return clock_() - start_; }
  void show(const std::string& text);
  /// Takes the terminal's line away, so that what is printed next starts on a clean one.
  void clear();

 private:
  ProgressStyle style_;
  Clock clock_;
  Write write_;
  double start_, next_;
  std::size_t shown_ = 0;  ///< width of the terminal's line
};

class Progress {
 public:
  using Clock = StatusLine::Clock;
  using Write = StatusLine::Write;

  /// `total_pairs`: pairs of the whole run; `done_pairs`: those that an interrupted run left. Other
  /// work than pairs is named by `unit`.
  Progress(ProgressStyle style, Index total_pairs, Index done_pairs = 0,
           std::string unit = "pairs");
  Progress(ProgressStyle style, Index total_pairs, Index done_pairs, Clock clock, Write write,
           std::string unit = "pairs");

  /// `pairs` more are finished.
  void advance(Index pairs);
  void clear() { status_.clear(); }

 private:
  std::string line(double seconds) const;

  StatusLine status_;
  std::string unit_;
  Index total_pairs_, first_pairs_, done_pairs_;
};

}  // namespace gramtile::apps
