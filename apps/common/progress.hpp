// How far a run is: on a terminal one line that is rewritten, elsewhere a plain line every ten
// seconds, with --quiet nothing. Runs shorter than two seconds show nothing.
//
// Called from one thread at a time (the one that delivers tiles).
#pragma once

#include <functional>
#include <string>
#include <string_view>

#include "engine/core/index.hpp"

namespace gramtile::apps {

enum class ProgressStyle { kNone, kLines, kTerminal };

/// kNone with `quiet`; otherwise by what stderr is.
ProgressStyle progress_style(bool quiet);

class Progress {
 public:
  /// Tests bring a clock [s] and a place for the text of their own.
  using Clock = std::function<double()>;
  using Write = std::function<void(std::string_view)>;

  /// `total_pairs`: pairs of the whole run; `done_pairs`: those that an interrupted run left. Other
  /// work than pairs is named by `unit`.
  Progress(ProgressStyle style, Index total_pairs, Index done_pairs = 0,
           std::string unit = "pairs");
  Progress(ProgressStyle style, Index total_pairs, Index done_pairs, Clock clock, Write write,
           std::string unit = "pairs");
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `pairs` more are finished.
  void advance(Index pairs);

  /// Takes the terminal's line away, so that what is printed next starts on a clean one.
  void clear();

 private:
  std::string line(double now) const;

  ProgressStyle style_;
  std::string unit_;
  Index total_pairs_, first_pairs_, done_pairs_;
  Clock clock_;
  Write write_;
  double start_, next_;
  std::size_t shown_ = 0;  ///< width of the terminal's line
};

}  // namespace gramtile::apps
