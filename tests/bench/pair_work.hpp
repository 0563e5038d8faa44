// The engine's work, as workloads: packs, tiles, whole runs and per-image variances. Everything
// goes through the calls that a run itself uses, with a sink that keeps nothing.
#pragma once

#include <memory>

#include "engine/network/program.hpp"
#include "tests/bench/images.hpp"
#include "tests/bench/workload.hpp"

namespace gramtile::bench {

enum class Work {
  kPack,       ///< one pack of columns against a strip of rows, one thread
  kTile,       ///< K of one tile off the diagonal
  kGradient,   ///< its gradient, every upstream entry and its mirror image not 0
  kJacobian,   ///< its jacobian and K
  kRun,        ///< compute_tiles over a symmetric matrix: blocks, tiles, delivery
  kVariances,  ///< variance stacks of one block; its amount is images
};

struct WorkSpec {
  Work work = Work::kTile;
  DataType data_type = DataType::kFloat32;
  int num_threads = 1;
  Index edge = 128;  ///< of a tile or block; kRun: number of images
};

/// The workload, its result compared with the reference on a few entries, within the promised
/// accuracy (engine/network/promised_accuracy.hpp). Throws std::runtime_error naming the entry when
/// one is larger. `executor` must outlive the workload; kRun makes its own.
std::unique_ptr<Workload> make_work(const Program& program, const WorkSpec& spec,
                                    Executor& executor);

/// Images that `spec` needs.
Index num_images(const WorkSpec& spec);

}  // namespace gramtile::bench
