// What kernel-train does besides parsing: from arguments to a request, progress, the last lines.
#pragma once

#include <string>

#include "apps/common/options.hpp"
#include "io/train/train_job.hpp"

namespace gramtile::apps {

struct TrainArguments {
  ComputeArguments compute;
  std::string validation, validation_labels;
  std::string targets, validation_targets;
  std::string objective, optimizer;
  std::string network_out, work;
  TrainingOptions options;
};

/// Throws Error(kUsage) for names that there are not, and what load_network throws.
TrainRequest train_request(const TrainArguments& arguments, std::string command);

/// Prints the plan where --dry-run asks for it; else trains, with progress and signals, and returns
/// the exit code.
int train(TrainRequest request, const TrainArguments& arguments, const std::string& resume_command);

}  // namespace gramtile::apps
