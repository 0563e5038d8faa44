// One run put together: what is stored (RunSpec), what is computed (ComputeRequest) and with what
// (ComputeOptions). kernel-build and kernel-grad differ only in the matrices and the derivative.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "apps/common/inputs.hpp"
#include "apps/common/options.hpp"
#include "engine/core/ports.hpp"
#include "engine/core/tile.hpp"
#include "engine/schedule/compute.hpp"
#include "io/run/run_spec.hpp"

namespace gramtile::apps {

/// One matrix by the names of its sets; `columns` is empty for a symmetric or diagonal one.
struct MatrixRequest {
  std::string name;  ///< "Kxx"
  MatrixKind kind = MatrixKind::kSymmetric;
  std::string rows, columns;
};

/// Matrices over sets that were not given are left out.
struct JobRequest {
  std::vector<MatrixRequest> matrices;
  DatasetLayout layout = DatasetLayout::kPlain;
  bool with_kernel = true;
  Derivative derivative = Derivative::kNone;
  std::string command;  ///< see stored_command()
};

struct Job {
  Inputs inputs;
  std::vector<std::unique_ptr<BlockSource>>
      sources;                               ///< by set: its images, checked when read again
  std::unique_ptr<UpstreamSource> upstream;  ///< kernel-grad only
  RunSpec spec;
  ComputeOptions options;
  std::size_t charged_bytes = 0;  ///< of --memory, by charge()

  Index num_rows() const { return spec.plan.matrices.front().num_rows; }
  Index num_columns() const { return spec.plan.matrices.front().num_columns; }
  /// Points into this job; `tiles` is left to the caller.
  ComputeRequest compute_request() const;
};

/// Plans the tiles and fills the spec, but for the hashes.
Job plan_job(Inputs inputs, const JobRequest& request, const ComputeArguments& arguments);

/// Takes `bytes` for `what` ("rows of rank 30000") out of the engine's part of --memory; throws
/// Error(kUsage), naming the least --memory that would do, when all charges take more than half.
void charge(Job& job, const ComputeArguments& arguments, std::size_t bytes,
            const std::string& what);

/// Throws Error(kUsage), naming the least --memory that would do, when the job's tiles do not fit.
void check_memory(const Job& job, const ComputeArguments& arguments);

/// Reads every pixel once: hashes for the spec, any bad pixel is found before the work begins, and
/// the program learns whether none is negative.
void read_inputs(Job& job);

/// The command without what cannot change a byte of the result, as RunSpec::command has it.
std::string stored_command(int argc, char** argv);

}  // namespace gramtile::apps
