// One run put together: what is stored (RunSpec), what is computed (ComputeRequest) and with what
// (ComputeOptions).
#pragma once

#include <memory>
#include <vector>

#include "engine/core/ports.hpp"
#include "engine/schedule/compute.hpp"
#include "io/job/inputs.hpp"
#include "io/job/job_request.hpp"
#include "io/run/spec/run_spec.hpp"

namespace gramtile {

struct JobPlan {
  Inputs inputs;
  std::vector<std::unique_ptr<BlockSource>> sources;  ///< by set: checked when read again
  std::unique_ptr<MatrixSource> own_upstream;         ///< of files
  MatrixSource* upstream = nullptr;                   ///< of a gradient
  RunSpec spec;                                       ///< but for the hashes of pixels
  ComputeOptions options;

  /// Points into this plan; `tiles` is left to the caller.
  ComputeRequest compute_request() const;
};

/// Opens the inputs of `request`, plans the tiles and fills the spec. Throws as Job() does, but for
/// what concerns the output.
JobPlan plan_job(const JobRequest& request);

}  // namespace gramtile
