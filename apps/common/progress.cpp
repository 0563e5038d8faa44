#include "apps/common/progress.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <utility>

#include "apps/common/streams.hpp"
#include "apps/common/units.hpp"

namespace gramtile::apps {
namespace {

constexpr double kSilentSeconds = 2;
constexpr double kTerminalSeconds = 0.2;
constexpr double kLineSeconds = 10;

double steady_seconds() {
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration<double>(now).count();
}

void write_stderr(std::string_view text) { print(stderr, text); }

}  // namespace

ProgressStyle progress_style(bool quiet) {
  if (quiet) return ProgressStyle::kNone;
  return isatty(STDERR_FILENO) == 1 ? ProgressStyle::kTerminal : ProgressStyle::kLines;
}

Progress::Progress(ProgressStyle style, Index total_pairs, Index done_pairs, std::string unit)
    : Progress(style, total_pairs, done_pairs, steady_seconds, write_stderr, std::move(unit)) {}

Progress::Progress(ProgressStyle style, Index total_pairs, Index done_pairs, Clock clock,
                   Write write, std::string unit)
    : style_(style),
      unit_(std::move(unit)),
      total_pairs_(std::max<Index>(total_pairs, 1)),
      first_pairs_(done_pairs),
      done_pairs_(done_pairs),
      clock_(std::move(clock)),
      write_(std::move(write)),
      start_(clock_()),
      next_(start_ + kSilentSeconds) {}

Progress::~Progress() { clear(); }

void Progress::advance(Index pairs) {
  done_pairs_ += pairs;
  if (style_ == ProgressStyle::kNone) return;
  const double now = clock_();
  if (now < next_) return;
  const std::string text = line(now);
  if (style_ == ProgressStyle::kLines) {
    next_ = now + kLineSeconds;
    write_(fmt::format("{}\n", text));
    return;
  }
  next_ = now + kTerminalSeconds;
  write_(fmt::format("\r{:<{}}", text, shown_));  // the width covers what a longer line left
  shown_ = text.size();
}

void Progress::clear() {
  if (shown_ == 0) return;
  write_(fmt::format("\r{:{}}\r", "", shown_));
  shown_ = 0;
}

std::string Progress::line(double now) const {
  const double rate =
      static_cast<double>(done_pairs_ - first_pairs_) / std::max(now - start_, 1e-9);
  const auto left = static_cast<double>(total_pairs_ - done_pairs_);
  const double percent = 100 * static_cast<double>(done_pairs_) / static_cast<double>(total_pairs_);
  return fmt::format("{:5.1f} %  {} {}/s  {} left", percent, format_count(static_cast<Index>(rate)),
                     unit_, format_seconds(left / rate));
}

}  // namespace gramtile::apps
