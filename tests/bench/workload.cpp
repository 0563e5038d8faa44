#include "tests/bench/workload.hpp"

#include <algorithm>
#include <chrono>

namespace gramtile::bench {
namespace {

/// About 50 µs on a fast processor: short enough that threads end together.
constexpr Index kPassesPerPiece = 20'000;
constexpr Index kPiecesPerThread = 8;

struct Slice {
  double seconds = 0;
  double runs = 0;
};

Slice run_for(Workload& work, double seconds) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  Slice slice;
  do {
    work.run();
    slice.runs += 1;
    slice.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  } while (slice.seconds < seconds);
  return slice;
}

}  // namespace

PeakWork::PeakWork(const PeakKernel& kernel, DataType type, Executor& executor)
    : kernel_(kernel), type_(type), executor_(executor) {}

void PeakWork::run() {
  executor_.for_each(executor_.num_threads() * kPiecesPerThread,
                     [this](Index) { kernel_.run(type_, kPassesPerPiece); });
}

double PeakWork::amount() const {
  return kernel_.operations_per_pass(type_) *
         static_cast<double>(kPassesPerPiece * kPiecesPerThread * executor_.num_threads());
}

Rotation::Rotation(std::vector<Workload*> works, double slice_seconds)
    : works_(std::move(works)), slice_seconds_(slice_seconds), rates_(works_.size()) {}

double Rotation::turn() {
  std::vector<Slice> slices(works_.size());
  const auto run = [&](std::size_t i) {
    const Slice slice = run_for(*works_[i], slice_seconds_ / 2);
    slices[i].seconds += slice.seconds;
    slices[i].runs += slice.runs;
  };
  for (std::size_t i = 0; i < works_.size(); ++i) run(i);
  for (std::size_t i = works_.size(); i-- > 0;) run(i);
  for (std::size_t i = 0; i < works_.size(); ++i) {
    rates_[i].push_back(slices[i].runs * works_[i]->amount() / slices[i].seconds);
  }
  return slices.back().seconds / slices.back().runs;
}

double Rotation::rate(std::size_t work) const { return median(rates_[work]); }

double Rotation::ratio(std::size_t work, std::size_t base) const {
  std::vector<double> ratios;
  for (std::size_t t = 0; t < rates_[work].size(); ++t) {
    ratios.push_back(rates_[work][t] / rates_[base][t]);
  }
  return median(ratios);
}

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

}  // namespace gramtile::bench
