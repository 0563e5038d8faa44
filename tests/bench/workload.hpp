// What the benchmarks time, and how: workloads take turns in short slices, so that a clock that
// drifts and neighbours that come and go meet all of them alike; figures are medians over turns.
#pragma once

#include <memory>
#include <vector>

#include "engine/parallel/executor.hpp"
#include "tests/bench/peak.hpp"

namespace gramtile::bench {

/// Something to be timed. Its result has been checked when it is handed out.
class Workload {
 public:
  virtual ~Workload() = default;

  virtual void run() = 0;
  /// What one run does: pairs, images, or floating-point operations.
  virtual double amount() const = 0;
};

/// The peak kernel on all threads of `executor`; its amount is floating-point operations.
class PeakWork : public Workload {
 public:
  PeakWork(const PeakKernel& kernel, DataType type, Executor& executor);

  void run() override;
  double amount() const override;

 private:
  PeakKernel kernel_;
  DataType type_;
  Executor& executor_;
};

/// Runs workloads in turns: 0, 1, … n − 1, n − 1, … 1, 0, each until its slice is over.
class Rotation {
 public:
  /// The workloads must outlive the rotation.
  Rotation(std::vector<Workload*> works, double slice_seconds);

  /// One turn; returns the seconds a single run of the last workload took.
  double turn();

  /// Median over turns of amount per second.
  double rate(std::size_t work) const;
  /// Median over turns of rate(work) / rate(base), each ratio within one turn.
  double ratio(std::size_t work, std::size_t base) const;

 private:
  std::vector<Workload*> works_;
  double slice_seconds_;
  std::vector<std::vector<double>> rates_;  ///< [work, turn]
};

double median(std::vector<double> values);

}  // namespace gramtile::bench
