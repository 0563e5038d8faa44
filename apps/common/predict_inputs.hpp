// What kernel-predict is told besides the kernel file: labels or targets of the training set, and
// what the sets to be predicted really are.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "apps/common/options.hpp"
#include "engine/solve/regression.hpp"
#include "io/solve/kernel_file.hpp"

namespace gramtile::apps {

struct PredictArguments {
  std::string kernels;
  std::string labels, validation_labels, test_labels;     ///< sources, or empty: the kernel file's
  std::string targets, validation_targets, test_targets;  ///< FILE[:/DATASET], or empty
  std::string jitter;                     ///< as it was written: "", a number or "auto"
  std::optional<double> jitter_relative;  ///< of the mean diagonal
  std::string solver = "auto";            ///< auto: cholesky, which gives everything that there is
  double tolerance = 1e-8;                ///< of conjugate gradients
  std::string work;                       ///< folder of OUT.work
  /// Told how far the run is, from 0 to 1; from any thread, one at a time.
  std::function<void(double part)> on_progress = {};
  ComputeArguments compute;  ///< --out and what goes with it, --memory, --threads, --dry-run

  bool iterates() const { return solver == "cg"; }
};

/// What is known of a set that is predicted; empty where nothing is.
struct KnownAnswers {
  std::vector<std::int64_t> labels;  ///< [n]
  std::vector<double> targets;       ///< [n, C]
};

struct PredictTargets {
  Targets targets;
  std::vector<std::int64_t> classes;  ///< [C]; empty: targets are numbers
  std::string origin;                 ///< "labels of K.h5", "y.npy"
  std::vector<KnownAnswers> answers;  ///< by KernelFile::crosses()
  std::vector<std::string> files;     ///< that were read

  /// Hash over all of them.
  std::string hash() const;
};

/// Throws Error(kUsage) for options that exclude each other or name a set that the file has not,
/// and when there are no labels at all; DataError for a length that does not match and for targets
/// that are not finite. `notice` is told of classes that no training image has.
PredictTargets read_targets(const PredictArguments& arguments, const KernelFile& kernels,
                            const std::function<void(const std::string&)>& notice);

}  // namespace gramtile::apps
