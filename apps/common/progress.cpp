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

StatusLine::StatusLine(ProgressStyle style) : StatusLine(style, steady_seconds, write_stderr) {}

StatusLine::StatusLine(ProgressStyle style, Clock clock, Write write)
    : style_(style),
      clock_(std::move(clock)),
      write_(std::move(write)),
      start_(clock_()),
      next_(start_ + kSilentSeconds) {}

StatusLine::~StatusLine() { clear(); }

std::optional<double> StatusLine::due() const {
  if (style_ == ProgressStyle::kNone) return std::nullopt;
  const double now = clock_();
  if (now < next_) return std::nullopt;
  return now - start_;
}

void StatusLine::show(const std::string& text) {
  const bool lines = style_ == ProgressStyle::kLines;
  next_ = clock_() + (lines ? kLineSeconds : kTerminalSeconds);
  if (lines) return write_(fmt::format("{}\n", text));
  write_(fmt::format("\r{:<{}}", text, shown_));  // the width covers what a longer line left
  shown_ = text.size();
}

void StatusLine::clear() {
  if (shown_ == 0) return;
  write_(fmt::format("\r{:{}}\r", "", shown_));
  shown_ = 0;
}

Progress::Progress(ProgressStyle style, Index total_pairs, Index done_pairs, std::string unit)
    : Progress(style, total_pairs, done_pairs, steady_seconds, write_stderr, std::move(unit)) {}

Progress::Progress(ProgressStyle style, Index total_pairs, Index done_pairs, Clock clock,
                   Write write, std::string unit)
    : status_(style, std::move(clock), std::move(write)),
      unit_(std::move(unit)),
      total_pairs_(std::max<Index>(total_pairs, 1)),
      first_pairs_(done_pairs),
      done_pairs_(done_pairs) {}

void Progress::advance(Index pairs) {
  done_pairs_ += pairs;
  if (const auto seconds = status_.due()) status_.show(line(*seconds));
}

std::string Progress::line(double seconds) const {
  const double rate = static_cast<double>(done_pairs_ - first_pairs_) / std::max(seconds, 1e-9);
  const Index done = std::min(done_pairs_, total_pairs_);  // a total may have been an estimate
  const auto left = static_cast<double>(total_pairs_ - done);
  const double percent = 100 * static_cast<double>(done) / static_cast<double>(total_pairs_);
  return fmt::format("{:5.1f} %  {} {}/s  {} left", percent, format_count(static_cast<Index>(rate)),
                     unit_, format_seconds(left / rate));
}

}  // namespace gramtile::apps
