// ∂L/∂K of a job: from files, or the caller's.
#pragma once

#include <memory>
#include <string>

#include "engine/core/ports.hpp"
#include "engine/core/tile.hpp"
#include "io/job/job_request.hpp"
#include "io/job/memory_charges.hpp"

namespace gramtile {

struct OpenUpstream {
  MatrixSource* source = nullptr;
  std::unique_ptr<MatrixSource> owned;  ///< what `source` points to, unless it is the caller's
  std::string description, hash;        ///< for RunSpec
};

/// Opens it for the first matrix of `plan` and reads it once, so that entries that are not finite
/// are found before the work. Charges what reading takes. Throws DataError for another shape or bad
/// entries, Error(kUsage) for names that are no arrays.
OpenUpstream open_upstream(const JobUpstream& upstream, const TilePlan& plan,
                           MemoryCharges& charges);

}  // namespace gramtile
