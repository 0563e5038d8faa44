// What a training step holds: whether its matrices fit the memory or live on disk.
#pragma once

#include <cstddef>
#include <string>

#include "engine/network/program.hpp"
#include "io/train/train_request.hpp"

namespace gramtile {

struct TrainPlan {
  Index size = 0;                 ///< examples of a step
  bool in_memory = true;          ///< K, factor and inverse
  double matrix_bytes = 0;        ///< of them, wherever they live
  std::size_t engine_bytes = 0;   ///< for the passes over K
  std::size_t working_bytes = 0;  ///< for panels and right-hand sides
};

/// Throws Error(kUsage), naming the least memory that would do.
TrainPlan plan_training(const TrainRequest& request, const Program& program, Index num_images,
                        Index num_outputs);

/// For --dry-run.
std::string describe_plan(const TrainPlan& plan, const TrainRequest& request, Index num_images);

}  // namespace gramtile
