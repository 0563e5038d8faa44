// What kernel-predict writes (docs/file_format.md §9): every number is there when the file is made,
// so it is built in memory as a whole.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/solve/regression.hpp"
#include "io/hdf5/file_builder.hpp"
#include "io/run/spec/run_spec.hpp"

namespace gramtile {

/// Of one set of the kernel file.
struct SetPrediction {
  Index set = 0;                 ///< in RunSpec::sets
  std::vector<double> mean;      ///< [n, C]
  std::vector<double> variance;  ///< [n], or empty: no diagonal in the kernel file, or no factor
  std::vector<std::int64_t> classes;  ///< [n], or empty: targets are numbers
  std::optional<double> score;  ///< accuracy, or mean squared error of targets that are numbers
};

/// What takes a factor.
struct FactorPrediction {
  double log_determinant = 0, log_marginal_likelihood = 0, condition_estimate = 0;
  LeaveOneOut leave_one_out;
  double leave_one_out_score = 0;
};

/// How conjugate gradients came to their coefficients.
struct IterationFacts {
  double tolerance = 0;
  double residual = 0;  ///< the largest of the outputs', recomputed
  Index num_iterations = 0, rank = 0;
};

struct Prediction {
  Index num_outputs = 1;              ///< C
  std::vector<std::int64_t> classes;  ///< [C], or empty: targets are numbers
  std::vector<double> coefficients;   ///< [N, C]
  double jitter = 0;
  std::optional<FactorPrediction> by_factor;   ///< of a solver that has one
  std::optional<IterationFacts> by_iteration;  ///< of one that iterates
  std::vector<SetPrediction> sets;
};

/// Where it came from: attributes.
struct PredictionOrigin {
  std::string kernel_file, kernel_hash;
  std::string targets;  ///< "labels of K.h5", or the source as it was named
  std::string solver;   ///< "cholesky", "cg"
  std::string blas;
  std::string command, created, fingerprint;
};

/// `spec` is the kernel file's; `training` the index of its training set.
hdf5::FileImage build_prediction(const Prediction& prediction, const PredictionOrigin& origin,
                                 const RunSpec& spec, Index training);

}  // namespace gramtile
