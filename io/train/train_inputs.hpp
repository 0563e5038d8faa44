// Images, labels and targets of a training, opened and checked against one another.
#pragma once

#include <string>
#include <vector>

#include "engine/train/trainer.hpp"
#include "io/job/inputs.hpp"
#include "io/train/train_request.hpp"

namespace gramtile {

struct TrainInputs {
  Inputs inputs;  ///< sets "train" and, if there is one, "validation"
  Targets targets;
  Targets validation_targets;         ///< numbers only
  std::vector<std::int64_t> classes;  ///< of the training set; empty: targets are numbers
  std::string origin;                 ///< of the targets: "labels", or their file

  BlockSource& images() const { return inputs.sets.front().images(); }
  const InputSet* validation() const { return inputs.sets.size() > 1 ? &inputs.sets[1] : nullptr; }
};

/// Throws Error(kUsage) when there are neither labels nor targets, or such for no images; DataError
/// for a length that does not match and for targets that are not finite; and as open_inputs does.
TrainInputs open_train_inputs(const TrainRequest& request);

}  // namespace gramtile
