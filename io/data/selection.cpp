#include "io/data/selection.hpp"

#include <algorithm>

namespace gramtile {

Selection::Selection(std::span<const Range> ranges) {
  for (const Range range : ranges) append(range);
}

void Selection::append(Range range) {
  if (range.size() <= 0) return;
  if (!runs_.empty() && runs_.back().stop == range.start) {
    runs_.back().stop = range.stop;
  } else {
    runs_.push_back(range);
    first_.push_back(size_);
  }
  size_ += range.size();
}

Range Selection::bounds() const {
  if (runs_.empty()) return {};
  Range all = runs_.front();
  for (const Range run : runs_) {
    all = {std::min(all.start, run.start), std::max(all.stop, run.stop)};
  }
  return all;
}

Index Selection::image(Index example) const {
  const auto next = std::upper_bound(first_.begin(), first_.end(), example);
  const auto run = static_cast<std::size_t>(next - first_.begin()) - 1;
  return runs_[run].start + (example - first_[run]);
}

std::vector<std::int64_t> Selection::images() const {
  std::vector<std::int64_t> all;
  all.reserve(static_cast<std::size_t>(size_));
  for (const Range run : runs_) {
    for (Index image = run.start; image < run.stop; ++image) all.push_back(image);
  }
  return all;
}

std::vector<Selection::Part> Selection::parts(Range examples) const {
  std::vector<Part> found;
  const auto next = std::upper_bound(first_.begin(), first_.end(), examples.start);
  for (auto run = static_cast<std::size_t>(next - first_.begin()) - 1;
       run < runs_.size() && first_[run] < examples.stop; ++run) {
    const Index begin = std::max(examples.start, first_[run]);
    const Index end = std::min(examples.stop, first_[run] + runs_[run].size());
    const Index offset = runs_[run].start - first_[run];
    found.push_back(
        {.images = {begin + offset, end + offset}, .first_example = begin - examples.start});
  }
  std::sort(found.begin(), found.end(),
            [](const Part& a, const Part& b) { return a.images.start < b.images.start; });
  return found;
}

}  // namespace gramtile
