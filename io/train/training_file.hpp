// What kernel-train writes (docs/file_format.md §10): the trained numbers, the history of every
// step, and what the next step depends on. The same file, unfinished, is the checkpoint.
#pragma once

#include <string>
#include <vector>

#include "engine/network/network.hpp"
#include "engine/train/trainer.hpp"
#include "io/hdf5/file_builder.hpp"

namespace gramtile {

/// Where it came from, and by which options: attributes.
struct TrainingOrigin {
  std::string network;  ///< JSON, as training began
  std::string training_source, validation_source, targets;
  std::string data_type, instruction_set, blas;
  std::string command, created, fingerprint;
};

/// `network` is what training began with; `trainer` where it is now.
hdf5::FileImage build_training(const Trainer& trainer, const Network& network,
                               const TrainingOptions& options, const TrainingOrigin& origin);

/// Of a checkpoint. Throws DataError for a file that is none, IoError.
TrainingState read_training(const std::string& path);

}  // namespace gramtile
