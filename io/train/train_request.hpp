// What a training is asked for: plain values, whoever asks (kernel-train, another program). Every
// field has the meaning of the command-line option that docs/cli.md describes.
#pragma once

#include <cstddef>
#include <functional>
#include <string>

#include "engine/core/index.hpp"
#include "engine/network/network.hpp"
#include "engine/train/trainer.hpp"
#include "io/job/job_request.hpp"

namespace gramtile {

struct TrainRequest {
  Network network;
  std::string network_name;  ///< its file, or what messages about it begin with
  JobSet train{.name = "train"};
  JobSet validation{.name = "validation", .role = DatasetRole::kValidation};
  /// Numbers [N] or [N, C] in place of labels: FILE[:/DATASET]. Empty: labels, as one-hot ±1.
  std::string targets, validation_targets;
  bool channels_last = false;

  TrainingOptions options;
  DataType data_type = DataType::kFloat32;
  std::size_t memory_bytes = std::size_t{2} << 30;
  int num_threads = 0;  ///< 0: every hardware thread

  std::string out;          ///< the file to write
  std::string network_out;  ///< a network file with the trained values; empty: none
  std::string work_folder;  ///< for matrices that do not fit the memory; empty: out's
  StartMode mode = StartMode::kCreate;
  bool no_lock = false;
  std::string command;  ///< stored in the file as provenance

  std::function<void(const std::string&)> notice;
};

}  // namespace gramtile
