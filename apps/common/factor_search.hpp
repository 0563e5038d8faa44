// From K to a factor of K + jitter·I in a store: with the jitter that was asked for, or with the
// least one that works.
#pragma once

#include <optional>

#include "engine/solve/factorise.hpp"
#include "engine/solve/jitter.hpp"
#include "io/solve/kernel_file.hpp"
#include "io/solve/work_file.hpp"

namespace gramtile::apps {

class FactorSearch {
 public:
  /// `work` is `store` when it is on disk: ends of attempts are then recorded and not repeated.
  FactorSearch(const KernelFile& kernels, const KernelFacts& facts, FactorStore& store,
               WorkFile* work, SolveContext& context)
      : kernels_(kernels), facts_(facts), store_(store), work_(work), context_(context) {}

  /// Factors K + jitter·I. Throws Error(kOther) when it has no factor: the pivot, the image, and
  /// the jitter that is enough, which is found by trying.
  void factor(double jitter);
  /// Factors K, or K + jitter·I with the least power of ten of the mean diagonal; returns the
  /// jitter.
  double factor_with_least_jitter();

 private:
  std::optional<PivotFailure> attempt(double jitter);
  [[noreturn]] void refuse(const PivotFailure& failure, double jitter);

  const KernelFile& kernels_;
  const KernelFacts& facts_;
  FactorStore& store_;
  WorkFile* work_;
  SolveContext& context_;
  Index num_attempts_ = 0;
};

}  // namespace gramtile::apps
